"""A table of vocabularies, which the requests of jobs refer to by their hash."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "vocabulary",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("words", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("vocabulary")
