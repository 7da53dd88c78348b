"""Columns for a flaw of an answer, and for the log-probabilities of its tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("job", sa.Column("quality", sa.String()))
    op.add_column("job", sa.Column("logprobs", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "logprobs")
    op.drop_column("job", "quality")
