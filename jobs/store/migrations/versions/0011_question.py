"""A column for the question of a table that a job answers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("job", sa.Column("question", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "question")
