"""Making a database as a version of captionq left it: by the migrations up to this version, with rows of its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Connection, MetaData, Table, create_engine, insert, text

from jobs.store.pictures.search_words import index_words
from tools.old_databases.rows import rows_at

_SCRIPTS = str(Path(__file__).parents[2] / "jobs/store/migrations")
_COUNT = (
    "INSERT INTO job_count SELECT coalesce(batch_id, ''), status, lane, count(*) FROM job"
    " GROUP BY coalesce(batch_id, ''), status, lane"
)
_ENDED = "SELECT * FROM job WHERE status IN ('succeeded', 'failed', 'cancelled')"


def versions() -> list[str]:
    """Return all versions of the tables, the oldest first."""
    return sorted(script.revision for script in ScriptDirectory(_SCRIPTS).walk_revisions())


def make_database(url: str, version: str, *, with_rows: bool = True) -> None:
    """Make the tables of a version in an empty database by the migrations, and write the rows if they are wanted."""
    with _connected(url) as connection:
        config = Config()
        config.set_main_option("script_location", _SCRIPTS)
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        if not with_rows:
            return
        tables = MetaData()
        tables.reflect(connection)
        for name, rows in rows_at(version).items():
            if name in tables.tables:
                _insert(connection, tables.tables[name], rows)
        # Kept by the code that inserts rows and ends jobs, not by the database.
        if "job_count" in tables.tables:
            connection.execute(text(_COUNT))
        if "caption_words" in tables.tables:
            index_words(connection, *connection.execute(text(_ENDED)))


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    flags = {column.name for column in table.columns if isinstance(column.type, Boolean)}
    for row in rows:
        values = {name: bool(value) if name in flags else value for name, value in row.items() if name in table.columns}
        connection.execute(insert(table).values(values))


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()
