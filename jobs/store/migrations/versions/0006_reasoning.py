"""A column for the thoughts of a model, which are not part of its answer."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("job", sa.Column("reasoning", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "reasoning")
