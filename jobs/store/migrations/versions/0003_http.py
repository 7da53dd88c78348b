"""Tables and columns of the HTTP API: uploads, webhooks, idempotency keys, and the mark of jobs whose events are streamed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("job", sa.Column("streamed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("job", sa.Column("roots", sa.Text()))
    op.add_column("job", sa.Column("idempotency_key", sa.String()))
    op.create_index("job_idempotency_key", "job", ["idempotency_key"], unique=True)
    op.add_column("batch", sa.Column("kind", sa.String(), nullable=False, server_default="run"))
    op.add_column("batch", sa.Column("idempotency_key", sa.String()))
    op.add_column("batch", sa.Column("digest", sa.String()))
    op.add_column("batch", sa.Column("complete", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index("batch_idempotency_key", "batch", ["idempotency_key"], unique=True)
    op.create_table(
        "stored_file",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("sha256", sa.String(), nullable=False, index=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), unique=True),
        sa.Column("created_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE")),
        sa.Column("batch_id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float()),
        sa.Column("delivered_at", sa.Float()),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", sa.Float(), nullable=False),
    )
    op.create_index("webhook_next_attempt", "webhook", ["next_attempt_at"])


def downgrade() -> None:
    op.drop_table("webhook")
    op.drop_table("stored_file")
    op.drop_index("batch_idempotency_key", "batch")
    for column in ("complete", "digest", "idempotency_key", "kind"):
        op.drop_column("batch", column)
    op.drop_index("job_idempotency_key", "job")
    for column in ("idempotency_key", "roots", "streamed"):
        op.drop_column("job", column)
