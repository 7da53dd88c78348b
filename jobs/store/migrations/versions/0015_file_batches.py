"""Batches whose requests are the lines of a file; files that are the results of such batches, and files that expire."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"

_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


def upgrade() -> None:
    with op.batch_alter_table("stored_file") as table:
        table.alter_column("sha256", existing_type=sa.String(), nullable=True)
        table.add_column(sa.Column("batch_id", sa.String()))
        table.add_column(sa.Column("part", sa.String()))
        table.add_column(sa.Column("expires_at", sa.Float()))
        table.create_foreign_key("stored_file_batch", "batch", ["batch_id"], ["id"], ondelete="CASCADE")
    op.create_index("stored_file_batch", "stored_file", ["batch_id"])
    op.create_table(
        "file_batch",
        sa.Column("id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("dialect", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("input_file_id", sa.String(), nullable=False),
        sa.Column("input_sha256", sa.String(), nullable=False),
        sa.Column("completion_window", sa.String(), nullable=False),
        sa.Column("labels", sa.Text()),
        sa.Column("webhook", sa.Text()),
        sa.Column("results_kept", sa.Float()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("ending", sa.String()),
        sa.Column("model", sa.String()),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Text()),
        sa.Column("tally", sa.Text()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        *(sa.Column(f"{name}_at", sa.Float()) for name in _TIMES),
    )
    op.create_index("file_batch_status", "file_batch", ["status"])
    op.create_table(
        "file_line",
        sa.Column("batch_id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("end_offset", sa.BigInteger(), nullable=False),
        sa.Column("custom_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE")),
        sa.Column("refusal", sa.Text()),
    )
    op.create_index("file_line_job", "file_line", ["job_id"], unique=True)


def downgrade() -> None:
    op.drop_table("file_line")
    op.drop_table("file_batch")
    op.drop_index("stored_file_batch", "stored_file")
    op.execute("DELETE FROM stored_file WHERE sha256 IS NULL")
    with op.batch_alter_table("stored_file") as table:
        table.drop_column("expires_at")
        table.drop_column("part")
        table.drop_column("batch_id")
        table.alter_column("sha256", existing_type=sa.String(), nullable=False)
