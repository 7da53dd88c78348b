"""The data folder whose command made a batch, and an index to find the jobs that write a file."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("batch", sa.Column("maker", sa.String()))
    # A hash index on Postgres: its B-trees cannot hold texts as long as a path may be.
    op.create_index("job_output", "job", ["output"], postgresql_using="hash")


def downgrade() -> None:
    op.drop_index("job_output", "job")
    op.drop_column("batch", "maker")
