"""Insertion of new jobs by the database's fast way: prepared once on SQLite, COPY on Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from jobs.store.rows.job_counts import count_new
from jobs.store.rows.vocabularies import with_reference
from jobs.store.tables import Job

_job: Table = SQLModel.metadata.tables["job"]
_NAMES = tuple(column.name for column in _job.columns)
_values = itemgetter(*_NAMES)

#: Number of rows from which COPY is faster than INSERT.
LEAST_COPIED = 20


def insert_rows(connection: Connection, jobs: Sequence[Job]) -> None:
    """Insert new jobs, and the vocabularies of their requests. Raises IntegrityError when a unique value is taken."""
    # A column at a time: the loops over the rows are those of C, and a new job has a value in few columns.
    columns = dict(zip(_NAMES, zip(*(_values(job.__dict__) for job in jobs), strict=True), strict=True))
    count_new(connection, Counter(zip(columns["batch_id"], columns["status"], columns["lane"], strict=True)))
    stored = set[str]()
    columns["request"] = tuple(with_reference(connection, request, stored) for request in columns["request"])
    given = {name: column for name, column in columns.items() if column.count(None) < len(jobs)}
    names, rows = tuple(given), list(zip(*given.values(), strict=True))
    if connection.dialect.name == "sqlite":
        # SQLAlchemy's own way takes as long for the parameters of a row as SQLite for the row.
        connection.exec_driver_sql(_insert(names), rows)
    elif len(rows) < LEAST_COPIED:
        connection.execute(insert(_job), [dict(zip(names, row, strict=True)) for row in rows])
    else:
        _copy(connection, names, rows)


@cache
def _insert(names: tuple[str, ...]) -> str:
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO job ({_listed(names)}) VALUES ({marks})"  # noqa: S608  # names of columns


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _copy(connection: Connection, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    statement = f"COPY job ({_listed(names)}) FROM STDIN"
    errors = connection.dialect.loaded_dbapi.Error
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except errors as error:
        raise DBAPIError.instance(statement, None, error, errors, dialect=connection.dialect) from error
