"""A table of stored responses (`POST /v1/responses`): the parts of a request that its job does not hold."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "response",
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("first_message", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("response")
