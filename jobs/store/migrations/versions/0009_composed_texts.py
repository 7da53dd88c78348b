"""Columns for texts that are made from an answer: the new text, and the hash of the whole file with it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("job", sa.Column("output_after", sa.String()))
    op.add_column("job", sa.Column("output_text", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "output_text")
    op.drop_column("job", "output_after")
