"""The rows as the queue: an index of those that wait, places within batches, priorities and pauses of batches."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_WAITS = sa.text("status = 'queued'")


def upgrade() -> None:
    op.add_column("batch", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batch", sa.Column("overtakes", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("batch", sa.Column("paused_at", sa.Float()))
    op.add_column("job", sa.Column("position", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "job_waiting",
        "job",
        ["lane", "batch_id", "position", "id"],
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )


def downgrade() -> None:
    op.drop_index("job_waiting", "job")
    op.drop_column("job", "position")
    for name in ("paused_at", "overtakes", "priority"):
        op.drop_column("batch", name)
