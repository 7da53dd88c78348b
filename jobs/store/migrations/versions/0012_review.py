"""Columns for answers that look wrong: how often they were asked for again, and whether and how a person has reviewed them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("job", sa.Column("quality_retries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("reviewed_at", sa.Float()))
    op.add_column("job", sa.Column("edited_text", sa.Text()))


def downgrade() -> None:
    op.drop_column("job", "edited_text")
    op.drop_column("job", "reviewed_at")
    op.drop_column("job", "quality_retries")
