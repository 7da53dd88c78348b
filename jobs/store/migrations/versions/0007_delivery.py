"""A column for the way from an answer to files: the options of the run, where they differ from the defaults."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("job", sa.Column("delivery", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "delivery")
