"""The words of captions and names, with an index; follow-ups: questions about a picture, and other answers to compare."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from jobs.store.pictures.search_words import index_words

revision = "0020"
down_revision = "0019"

#: Rows that are read at a time.
_ROWS = 1000
_ADD = "INSERT INTO caption_words_index (rowid, words) VALUES (new.id, new.words);"
_REMOVE = "INSERT INTO caption_words_index (caption_words_index, rowid, words) VALUES ('delete', old.id, old.words);"
_TRIGGERS = {"INSERT": _ADD, "DELETE": _REMOVE, "UPDATE": _REMOVE + _ADD}


def upgrade() -> None:
    connection = op.get_bind()
    is_postgres = connection.dialect.name == "postgresql"
    words = TSVECTOR() if is_postgres else sa.Text()
    op.create_table(
        "caption_words",
        # Not the number of a row that SQLite chooses by itself: VACUUM changes those.
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("words", words, nullable=False),
    )
    _fill(connection)
    # An index that is built at once takes a tenth of the time.
    if is_postgres:
        op.create_index("caption_words_words", "caption_words", ["words"], postgresql_using="gin")
    elif _has_fts5(connection):
        # Words are cut already: `ascii` takes every other character for a letter.
        op.execute(
            "CREATE VIRTUAL TABLE caption_words_index USING fts5"
            "(words, content='caption_words', content_rowid='id', tokenize='ascii')"
        )
        op.execute("INSERT INTO caption_words_index (caption_words_index) VALUES ('rebuild')")
        for change, statements in _TRIGGERS.items():
            op.execute(f"CREATE TRIGGER caption_words_{change} AFTER {change} ON caption_words BEGIN {statements} END")
    op.create_table(
        "comparison",
        sa.Column("batch_id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("base_id", sa.String(), sa.ForeignKey("batch.id", ondelete="CASCADE"), nullable=False),
    )
    op.create_index("comparison_base", "comparison", ["base_id"])
    op.create_table(
        "follow_up",
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("about_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("winner", sa.String()),
    )
    op.create_index("follow_up_about", "follow_up", ["about_id"])


def downgrade() -> None:
    op.drop_table("follow_up")
    op.drop_table("comparison")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE IF EXISTS caption_words_index")
    op.drop_table("caption_words")


def _fill(connection: sa.Connection) -> None:
    """Write the words of the jobs that have ended."""
    job = sa.table("job", *map(sa.column, ("id", "batch_id", "source", "text", "output_text", "edited_text", "status")))
    columns = [column for column in job.c if column.name != "status"]
    ended = sa.select(*columns).where(
        job.c.batch_id.is_not(None), job.c.status.in_(("succeeded", "failed", "cancelled"))
    )
    last = ""
    while rows := connection.execute(ended.where(job.c.id > last).order_by(job.c.id).limit(_ROWS)).all():
        last = rows[-1].id
        index_words(connection, *rows)


def _has_fts5(connection: sa.Connection) -> bool:
    return connection.execute(sa.text("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'")).first() is not None
