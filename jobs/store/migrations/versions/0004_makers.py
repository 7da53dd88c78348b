"""Which data folder's command made a batch, and an index for finding the jobs that write a file."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("batch", sa.Column("maker", sa.String()))
    # Hashes on Postgres: its trees hold no text of the length that a path may have.
    op.create_index("job_output", "job", ["output"], postgresql_using="hash")


def downgrade() -> None:
    op.drop_index("job_output", "job")
    op.drop_column("batch", "maker")
