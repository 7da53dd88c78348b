"""Jobs and batches."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("batch_id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE")),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("output", sa.Text()),
        sa.Column("worker", sa.String()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float()),
        sa.Column("finished_at", sa.Float()),
        sa.Column("finished_order", sa.Integer()),
        sa.Column("text", sa.Text()),
        sa.Column("finish_reason", sa.String()),
        sa.Column("prompt_tokens", sa.Integer()),
        sa.Column("image_tokens", sa.Integer()),
        sa.Column("completion_tokens", sa.Integer()),
        sa.Column("queue_seconds", sa.Float()),
        sa.Column("preprocess_seconds", sa.Float()),
        sa.Column("prefill_seconds", sa.Float()),
        sa.Column("decode_seconds", sa.Float()),
        sa.Column("error_code", sa.String()),
        sa.Column("error_message", sa.Text()),
    )
    op.create_index("job_batch_status", "job", ["batch_id", "status"])
    op.create_index("job_batch_finished", "job", ["batch_id", "finished_order"])
    op.create_index("job_status_created", "job", ["status", "created_at"])


def downgrade() -> None:
    op.drop_table("job")
    op.drop_table("batch")
