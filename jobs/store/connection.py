"""The connection to the system of record: SQLite in WAL, or Postgres through the database URL.

On both, only one transaction writes at a time: rows do not change between a writer's read and its write, and writers do not
deadlock.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Error as SQLiteError

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, table, text
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseNewerError, InvalidRequestError, MissingToolError
from jobs.errors.database_faults import damaged, database_error
from jobs.errors.install_commands import command_for_extra
from jobs.faults import FaultPoint, point
from jobs.file_locks import exclusive, try_lock
from jobs.store.databases import postgres, sqlite
from jobs.store.databases.new_tables import can_make_tables, make_tables
from jobs.store.databases.schema_version import SCHEMA_VERSION
from jobs.store.databases.sqlite_copy import copies_of, copy_before

logger = logging.getLogger("captionq.database")


def open_database(settings: Settings, writer_wait: float | None = None) -> Engine:
    """Connect to the database, and bring its tables up to date; an SQLite file with rows is copied before.

    `writer_wait`: seconds that writers wait for another writer; None: `sqlite.BUSY_TIMEOUT`.

    Raises DatabaseError, DiskFullError, DataFolderError.
    """
    settings.make_folders()
    try:
        engine = _engine(settings)
        # Exclusive from the first read on: a switch to WAL fails at once, despite the busy_timeout, while another process even
        # reads.
        with exclusive(_lock_file(settings)):
            if engine.dialect.name == "sqlite":
                sqlite.set_wal(engine)
            version = _schema_version(engine)
            if version is not None and version > SCHEMA_VERSION:
                raise _newer(engine, settings, version)
            if version is None and _is_new(engine):
                with writing(engine) as connection:
                    make_tables(connection)
            elif version != SCHEMA_VERSION:
                _migrate(engine)
            if writer_wait is not None:
                engine.update_execution_options(**{sqlite.WRITER_WAIT: writer_wait})
            if engine.dialect.name == "sqlite":
                event.listen(engine, "checkout", sqlite.file_check(Path(str(engine.url.database))))
    except (SQLAlchemyError, SQLiteError, OSError) as error:
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


def _engine(settings: Settings) -> Engine:
    url = make_url(settings.database)
    try:
        engine = create_engine(url, hide_parameters=True, **postgres.engine_options(url))
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise MissingToolError(f"A Postgres database needs an extra: {command_for_extra('postgres')}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", sqlite.prepare)
        event.listen(engine, "begin", sqlite.begin)
    return engine


@contextmanager
def writing(engine: Engine, *, durable: bool = True, wait: float | None = None) -> Iterator[Connection]:
    """Open a write transaction: committed at the end of the block, rolled back by an exception.

    Args:
        durable: whether the transaction survives a power failure once it is committed. A process may die at any time: nothing
            is lost by that. Not durable are changes that are made again after a power failure, such as a worker's claim.
        wait: seconds to wait for other writers; None: as the engine was opened (`open_database`).
    """
    options = sqlite.write_options(durable=durable) | ({} if wait is None else {sqlite.WRITER_WAIT: wait})
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            postgres.take_turn(connection, durable=durable)
        yield connection
        point(FaultPoint.COMMIT)
    point(FaultPoint.COMMITTED)


def bulk_pause(engine: Engine) -> None:
    """Let other writers have their turn, between two transactions of a bulk change."""
    # Postgres has a queue of writers.
    if engine.dialect.name == "sqlite":
        time.sleep(sqlite.PAUSE)


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


def _schema_version(engine: Engine) -> str | None:
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _is_new(engine: Engine) -> bool:
    """Return whether the tables can be made at once."""
    if engine.dialect.name != "sqlite":
        return False
    with reading(engine) as connection:
        return can_make_tables(connection)


def _newer(engine: Engine, settings: Settings, version: str) -> DatabaseNewerError:
    copies = copies_of(Path(str(engine.url.database))) if engine.dialect.name == "sqlite" else []
    older = [copy for copy in copies if copy.suffix > f".before-{SCHEMA_VERSION}"][:1]
    way_out = "".join(
        f", or go back to the copy from before its first start: captionq restore '{copy}'" for copy in older
    )
    return DatabaseNewerError(
        f"A newer version of captionq has written {place_of(settings)} (its tables have version {version}, and this captionq "
        f"knows those up to {SCHEMA_VERSION}). Install that version again{way_out}."
    )


def _migrate(engine: Engine) -> None:
    """Run all migrations that are missing, in one transaction."""
    # Imported here: nearly every start finds the schema up to date, and saves the time of the import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign would begin one of ConfigParser's own substitutions.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            # A million rows may take their time.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        elif _has_rows(connection):
            # In this transaction, so that nothing is committed between the copy and the migration.
            copy = copy_before(Path(str(engine.url.database)), SCHEMA_VERSION)
            logger.warning(
                "This version of captionq changes the tables of the database. A copy of it as it was: %s", copy
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _has_rows(connection: Connection) -> bool:
    names = {"batch", "job", "stored_file"}.intersection(inspect(connection).get_table_names())
    return any(connection.execute(select(1).select_from(table(name)).limit(1)).first() is not None for name in names)
