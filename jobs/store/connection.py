"""The connection to the system of record: SQLite in WAL, or Postgres through the database URL.

On both, only one transaction writes at a time: rows do not change between a writer's read and its write, and writers do not
deadlock.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseError, DatabaseNewerError, InvalidRequestError
from jobs.errors.database_faults import damaged, database_error
from jobs.file_locks import exclusive, try_lock

#: The newest migration in `migrations/versions`; a test checks this.
SCHEMA_VERSION = "0018"

#: Seconds that a writer waits for another writer.
BUSY_TIMEOUT = 30
#: A writer's lock on Postgres, held to the end of its transaction. The server cuts off a writer that falls silent, such as a
#: Mac whose lid is closed.
_WRITERS_TURN = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '60s', true), pg_advisory_xact_lock(hashtext('captionq'))"
)


def open_database(settings: Settings) -> Engine:
    """Connect to the database, and bring its tables up to date. Raises DatabaseError, DataFolderError."""
    settings.make_folders()
    try:
        # Connections to a server break when the server does: each is tested before use.
        engine = create_engine(settings.database, hide_parameters=True, pool_pre_ping=settings.database_url is not None)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        # Exclusive from the first read on: a switch to WAL fails at once, despite the busy_timeout, while another process even
        # reads.
        with exclusive(_lock_file(settings)):
            if engine.dialect.name == "sqlite":
                _set_wal(engine)
            version = _schema_version(engine)
            if version is not None and version > SCHEMA_VERSION:
                raise DatabaseNewerError(
                    f"A newer version of captionq has written {place_of(settings)} (its tables have version {version}, and this "
                    f"captionq knows those up to {SCHEMA_VERSION}). Install that version again."
                )
            if version != SCHEMA_VERSION:
                _migrate(engine)
            if engine.dialect.name == "sqlite":
                event.listen(engine, "checkout", _file_check(Path(str(engine.url.database))))
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise database_error(error, place_of(settings)) from error
    return engine


def place_of(settings: Settings) -> str:
    """Return the file or the address of the database, without a password, for a sentence."""
    url = make_url(settings.database)
    return f"the database {url.database if url.drivername == 'sqlite' else url.render_as_string()}"


def check_content(engine: Engine, settings: Settings) -> None:
    """Read the whole file of the database, and check it. A server checks itself. Raises DatabaseDamagedError, DatabaseError."""
    if engine.dialect.name != "sqlite":
        return
    try:
        with reading(engine) as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            strays = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    except DBAPIError as error:
        raise database_error(error, place_of(settings)) from error
    if found != "ok":
        raise damaged(place_of(settings), found)
    if strays is not None:
        raise damaged(place_of(settings), f"rows of '{strays[0]}' refer to rows that are gone")


def is_being_opened(settings: Settings) -> bool:
    """Return whether a process is opening the database just now. It has no jobs yet."""
    with _lock_file(settings).open("a") as file:
        return not try_lock(file, fcntl.LOCK_EX)


def _lock_file(settings: Settings) -> Path:
    return settings.data_dir / "migration.lock"


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a write transaction: committed at the end of the block, rolled back by an exception."""
    with engine.connect().execution_options(captionq_writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(_WRITERS_TURN)
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a read transaction: one consistent view, without a lock that a writer would wait for.

    Raises InvalidRequestError when the query holds a text that Postgres cannot hold, one with a NUL character.
    """
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except DataError as error:
        raise InvalidRequestError("A name contains a NUL character, which is not allowed.") from error


def is_away(error: Exception) -> bool:
    """Return whether the error means that the database server cannot be reached for now. A file always can."""
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    # A client that fell silent in the middle of a transaction is cut off with an InternalError.
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


def _file_check(path: Path) -> Callable[..., None]:
    """Return the check that the database is still the file that was opened. Each transaction begins with it."""
    opened = path.stat().st_ino

    def check(*_: object) -> None:
        # SQLite goes on writing to a file that was deleted, and everything that is acknowledged then is lost.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == opened:
                return
        raise DatabaseError(f"The database {path} was deleted or replaced while captionq runs. Start captionq again.")

    return check


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once with SQLITE_BUSY, despite the busy_timeout: a
    # writer therefore takes the lock at its beginning.
    writes = connection.get_execution_options().get("captionq_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_wal(engine: Engine) -> None:
    """Switch to write-ahead logging. The file remembers the switch."""
    # The switch is only possible outside of a transaction.
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def _schema_version(engine: Engine) -> str | None:
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    # Imported here: nearly every start finds the schema up to date, and saves the time of the import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign would begin one of ConfigParser's own substitutions.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
