"""The database itself: opened, made and brought up to date."""

from __future__ import annotations

import fcntl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.errors import MissingToolError
from jobs.store.connection import open_database, reading, writing
from jobs.store.databases.passing_faults import is_away
from jobs.store.databases.schema_version import SCHEMA_VERSION
from jobs.store.store import Store
from tests.support.postgres import fall_silent, only_postgres, only_sqlite
from tests.support.rows import RESULT, make_job


@only_sqlite
def test_the_database_survives_in_wal_mode_with_foreign_keys(store: Store) -> None:
    """The pragmas that durability and integrity rest on are on, in every connection."""
    names = ("journal_mode", "foreign_keys", "fullfsync", "synchronous", "busy_timeout")

    def pragmas(connection: Connection) -> list[object]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    full, normal = 2, 1
    with writing(store.engine) as connection:
        assert pragmas(connection) == ["wal", 1, 1, full, 30000]
    with writing(store.engine, durable=False) as connection:
        assert pragmas(connection) == ["wal", 1, 1, normal, 30000]
    with reading(store.engine) as connection:
        assert pragmas(connection)[:3] == ["wal", 1, 1]


def test_postgres_without_its_extra_names_the_way_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra has no driver."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    address = "postgresql+psycopg://captionq@127.0.0.1:5432/captionq"
    with pytest.raises(MissingToolError, match=r"^A Postgres database needs an extra: .*captionq\[postgres\]"):
        open_database(settings.model_copy(update={"database_url": address}))


def test_the_migrations_make_the_tables_that_the_code_declares(settings: Settings, store: Store) -> None:
    """Columns and indexes agree, and the version constant is the newest migration."""
    scripts = ScriptDirectory(str(Path("jobs/store/migrations").absolute()))
    assert scripts.get_current_head() == SCHEMA_VERSION
    engine = open_database(settings)
    inspector = inspect(engine)
    for table in SQLModel.metadata.sorted_tables:
        found = {(column["name"], column["nullable"]) for column in inspector.get_columns(table.name)}
        assert found == {(column.name, column.nullable) for column in table.columns}
        indexes = {
            (index["name"], tuple(index["column_names"]))
            for index in inspector.get_indexes(table.name)
            # Postgres lists unique constraints among the indexes.
            if "duplicates_constraint" not in index
        }
        assert indexes == {(index.name, tuple(index.columns.keys())) for index in table.indexes}
    engine.dispose()


@pytest.mark.no_tables
def test_a_database_of_the_first_version_is_brought_up_to_date_in_place(settings: Settings) -> None:
    """Its rows stay as they are, and new results may use the new columns."""
    engine = create_engine(settings.database)
    config = Config()
    config.set_main_option("script_location", "jobs/store/migrations")
    old = make_job()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = [column["name"] for column in inspect(connection).get_columns("job")]
        columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO job ({columns}) VALUES ({values})"), old.model_dump(include=set(names)))
    engine.dispose()
    assert "quality" not in names
    store = Store(settings)
    assert store.job(old.id) == old
    store.claim([old.id], "worker")
    assert store.succeed(old.id, replace(RESULT, quality="empty", logprobs=[]))
    assert (store.job(old.id).quality, store.job(old.id).logprobs) == ("empty", "[]")
    store.close()


@only_sqlite
@pytest.mark.no_tables
def test_a_new_database_is_touched_by_one_process_at_a_time(settings: Settings) -> None:
    """Not even a read is allowed: while a process reads the file, SQLite refuses at once to switch it to WAL."""
    settings.make_folders()
    with ThreadPoolExecutor(1) as threads, (settings.data_dir / "migration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opening = threads.submit(Store, settings)
        time.sleep(0.3)
        assert not (settings.data_dir / "captionq.db").exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        opening.result().close()


@pytest.mark.no_tables
def test_many_may_open_a_new_database_at_once(settings: Settings, tmp_path: Path) -> None:
    """The first process makes it, and the others wait; so do machines that share a Postgres."""
    together = threading.Barrier(6)

    def open_one(number: int) -> Store:
        elsewhere = {"data_dir": tmp_path / str(number)} if settings.database_url else {}
        together.wait()
        return Store(settings.model_copy(update=elsewhere))

    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(open_one, range(6)))
    for store in stores:
        assert sum(store.counts().values()) == 0
        store.close()


@only_postgres
def test_a_connection_cut_off_within_a_transaction_counts_as_away(store: Store) -> None:
    """The server may come back; a violated constraint is another kind of error."""
    with pytest.raises(DBAPIError) as silent, writing(store.engine) as connection:
        fall_silent(connection, store.engine)
    assert is_away(silent.value)
    job = make_job().model_copy(update={"output": None})
    store.add([job])
    with pytest.raises(IntegrityError) as twice:
        store.add([job])
    assert not is_away(twice.value)


@only_sqlite
def test_a_file_is_never_away(store: Store) -> None:
    """Errors of SQLite do not pass by themselves."""
    with pytest.raises(OperationalError) as error, writing(store.engine) as connection:
        connection.execute(text("SELECT * FROM nothing"))
    assert not is_away(error.value)
