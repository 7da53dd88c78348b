"""Dumping an SQLite database as SQL, and loading a dump."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

#: Tables that SQLite or FTS5 makes by itself, and tables of numbers for its planner, which are written like rows.
_MADE_BY_ITSELF = ("sqlite_", "caption_words_index_")
_REBUILD = "INSERT INTO caption_words_index (caption_words_index) VALUES ('rebuild');"


def dump(database: Path) -> str:
    """Return the statements that make the database again: tables, rows, indexes, triggers."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join([*_statements(connection), ""])


def load(text: str, database: Path) -> None:
    """Make a database of a dump, in write-ahead logging as captionq leaves it."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(f"BEGIN;\n{text}\nCOMMIT;\nPRAGMA journal_mode = WAL;")


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    made = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall()
    made = [one for one in made if not one[1].startswith(_MADE_BY_ITSELF)]
    tables = [name for kind, name, sql in made if kind == "table" and "VIRTUAL" not in sql]
    for kind, _, sql in made:
        if kind == "table":
            yield f"{sql};"
    for name in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info('{name}')")]
        # quote() writes texts, blobs and numbers as SQL does.
        values = " || ', ' || ".join(f"quote({column})" for column in columns)
        query = f"SELECT {values} FROM {name} ORDER BY 1"  # noqa: S608  # a table of its own
        for (row,) in connection.execute(query):
            yield f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({row});"  # noqa: S608  # its own database
    if any("VIRTUAL" in sql for _, _, sql in made):
        yield _REBUILD
    for kind, _, sql in made:
        if kind != "table":
            yield f"{sql};"
    yield from _numbers(connection)


def _numbers(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield the statements that write the numbers for the planner."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone():
        return
    yield "ANALYZE job;"
    yield "DELETE FROM sqlite_stat1;"
    numbers = "SELECT quote(tbl), quote(idx), quote(stat) FROM sqlite_stat1 ORDER BY 1, 2"
    for table, index, stat in connection.execute(numbers):
        yield f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ({table}, {index}, {stat});"  # noqa: S608
