"""Insertion of new jobs by the database's fast way: prepared once on SQLite, COPY on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from jobs.store.rows.job_counts import count_new
from jobs.store.rows.vocabularies import with_reference
from jobs.store.tables import Job

_job: Table = SQLModel.metadata.tables["job"]
_NAMES = [column.name for column in _job.columns]
_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)
_INSERT = f"INSERT INTO job ({_COLUMNS}) VALUES ({', '.join('?' for _ in _NAMES)})"  # noqa: S608  # names of columns
_COPY = f"COPY job ({_COLUMNS}) FROM STDIN"
_values = itemgetter(*_NAMES)

#: Number of rows from which COPY is faster than INSERT.
LEAST_COPIED = 20


def insert_rows(connection: Connection, jobs: Sequence[Job]) -> None:
    """Insert new jobs, and the vocabularies of their requests. Raises IntegrityError when a unique value is taken."""
    count_new(connection, jobs)
    stored = set[str]()
    rows = [job.__dict__ | {"request": with_reference(connection, job.request, stored)} for job in jobs]
    if connection.dialect.name == "sqlite":
        # SQLAlchemy's own way takes as long for the parameters of a row as SQLite for the row.
        connection.exec_driver_sql(_INSERT, [_values(row) for row in rows])
    elif len(rows) < LEAST_COPIED:
        connection.execute(insert(_job), [dict(zip(_NAMES, _values(row), strict=True)) for row in rows])
    else:
        _copy(connection, [_values(row) for row in rows])


def _copy(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    errors = connection.dialect.loaded_dbapi.Error
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
    except errors as error:
        raise DBAPIError.instance(_COPY, None, error, errors, dialect=connection.dialect) from error
