"""The tables of a new SQLite database. Running all migrations for them takes a tenth of the time of a first short run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

#: The statements that make the tables as the migrations leave them. `python -m tools.old_databases` writes the file.
SCRIPT = Path(__file__).parents[1] / "migrations" / "new_tables.sql"
_FTS5 = "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"


def can_make_tables(connection: Connection) -> bool:
    """Return whether `make_tables` does for this database as the migrations do: it is empty, and SQLite can index words."""
    return all(
        connection.exec_driver_sql(f"SELECT {condition}").scalar()
        for condition in ("NOT EXISTS (SELECT 1 FROM sqlite_schema)", f"EXISTS ({_FTS5})")
    )


def make_tables(connection: Connection) -> None:
    """Make all tables, indexes and triggers in an empty database. Needs a write transaction."""
    for statement in _statements(SCRIPT.read_text()):
        connection.exec_driver_sql(statement)
    # The planner reads its numbers again.
    connection.exec_driver_sql("ANALYZE sqlite_schema")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, of which each begins on a line of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
