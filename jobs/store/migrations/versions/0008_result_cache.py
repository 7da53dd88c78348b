"""Columns for the result cache: the key of the question, and whether the answer came from the cache."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("job", sa.Column("cache_key", sa.String()))
    op.add_column("job", sa.Column("cached", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("job_cache_key", "job", ["cache_key"])


def downgrade() -> None:
    op.drop_index("job_cache_key", "job")
    op.drop_column("job", "cached")
    op.drop_column("job", "cache_key")
