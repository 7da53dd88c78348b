"""The calls of functions in an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("job", sa.Column("tool_calls", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "tool_calls")
