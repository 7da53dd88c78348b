"""The connection to the system of record: SQLite in WAL, or Postgres through the database URL.

On both, one writes at a time: who changes rows has read them before, and no two wait for each other's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from jobs.errors import DatabaseError, InvalidRequestError
from jobs.file_locks import exclusive
from jobs.settings import Settings

#: The newest migration in `migrations/versions`. A test holds it true.
SCHEMA_VERSION = "0005"

#: Seconds that a writer waits for another one.
BUSY_TIMEOUT = 30
#: The turn of a writer on Postgres, held to the end of its transaction. One that falls silent, such as a Mac whose lid is
#: closed, is cut off.
_WRITERS_TURN = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '60s', true), pg_advisory_xact_lock(hashtext('captionq'))"
)


def open_database(settings: Settings) -> Engine:
    """Connect, and bring the tables up to date. Raises DatabaseError, DataFolderError."""
    settings.make_folders()
    try:
        # Connections to a server break with it: each is tried before it is used.
        engine = create_engine(settings.database, hide_parameters=True, pool_pre_ping=settings.database_url is not None)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        # Alone from the first look on: a switch to WAL fails at once, whatever the busy_timeout, while another process so much
        # as reads.
        with exclusive(settings.data_dir / "migration.lock"):
            if engine.dialect.name == "sqlite":
                _set_wal(engine)
            if _schema_version(engine) != SCHEMA_VERSION:
                _migrate(engine)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DatabaseError(f"The database in {settings.data_dir} cannot be used: {reason}.") from error
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back by an exception."""
    with engine.connect().execution_options(captionq_writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(_WRITERS_TURN)
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view; takes no lock that a writer would wait for.

    Raises InvalidRequestError when something is looked for that Postgres cannot hold: a text with a NUL character.
    """
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except DataError as error:
        raise InvalidRequestError("A name holds a NUL character; no name here does.") from error


def is_away(error: Exception) -> bool:
    """Whether it means that a database server cannot be reached for now; a file always can."""
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    # Who fell silent in the middle of a transaction is cut off with an InternalError.
    return isinstance(error, OperationalError) or error.connection_invalidated


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling begins late and cannot begin IMMEDIATE: switched off, see _begin_sqlite.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT * 1000}",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once with SQLITE_BUSY, whatever the busy_timeout: a
    # writer therefore takes the lock at its beginning.
    writes = connection.get_execution_options().get("captionq_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_wal(engine: Engine) -> None:
    """Write-ahead logging, once and for all: the file remembers it."""
    # Outside of any transaction, where alone it is possible.
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def _schema_version(engine: Engine) -> str | None:
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    # Imported here: nearly every start finds the schema up to date and saves the time.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign would begin one of ConfigParser's own substitutions.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
