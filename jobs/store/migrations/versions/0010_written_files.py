"""A table of the files that jobs changed, with their content before: `captionq undo` reads it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "written_file",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("before", sa.LargeBinary()),
        sa.Column("before_sha256", sa.String()),
        sa.Column("backup", sa.Text()),
        sa.Column("after_sha256", sa.String(), nullable=False),
        sa.Column("written_at", sa.Float(), nullable=False),
        sa.Column("undone_at", sa.Float()),
    )
    op.create_index("written_file_job", "written_file", ["job_id"])
    op.create_index("written_file_path", "written_file", ["path"], postgresql_using="hash")


def downgrade() -> None:
    op.drop_table("written_file")
