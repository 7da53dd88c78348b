"""The calls of functions in an answer, and the answers after the first."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("job", sa.Column("tool_calls", sa.Text()))
    op.add_column("job", sa.Column("choices", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "choices")
    op.drop_column("job", "tool_calls")
