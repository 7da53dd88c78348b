"""Columns for text files: the file's hash when its job was queued, and the text that the job replaced."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("job", sa.Column("output_before", sa.String()))
    op.add_column("job", sa.Column("previous_text", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("job", "previous_text")
    op.drop_column("job", "output_before")
