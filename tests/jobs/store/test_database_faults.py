"""Faults of the database: each is a typed error that names the file and the way out, on the terminal too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.errors import DatabaseDamagedError, DatabaseError, DatabaseNewerError, DiskFullError
from jobs.errors.database_faults import database_error
from jobs.store.connection import check_content, writing
from jobs.store.databases import sqlite
from jobs.store.store import Store
from tests.support.postgres import only_sqlite
from tests.support.rows import add_batch

pytestmark = only_sqlite


@pytest.fixture
def file(settings: Settings) -> Path:
    """The file of a database with some hundred rows, which no process has open."""
    store = Store(settings)
    for _ in range(30):
        add_batch(store, 20)
    store.close()
    return settings.data_dir / "captionq.db"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the writer's lock of the file for the block."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def garble(file: Path) -> None:
    file.write_bytes(b"no database " * 4000)


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def write_newer_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize(
    ("harm", "kind", "said"),
    [
        (garble, DatabaseDamagedError, "is damaged (file is not a database)"),
        (write_newer_version, DatabaseNewerError, "A newer version of captionq"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_sentence_in_every_command(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch, harm: object, kind: type[DatabaseError], said: str
) -> None:
    """`caption`, `jobs` and `doctor` name the file and end with status 1; `doctor` goes on with its other checks."""
    assert callable(harm)
    harm(file)
    with pytest.raises(kind) as caught:
        Store(settings)
    assert said in caught.value.message
    assert str(file) in caught.value.message
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    (settings.data_dir.parent / "a.jpg").touch()
    for command in (["caption", "--model", "demo", str(settings.data_dir.parent)], ["jobs", "batches"], ["doctor"]):
        result = CliRunner().invoke(captionq, command)
        assert result.exit_code == 1
        assert said in result.output
        assert "Traceback" not in result.output
    assert "disk" in result.output.splitlines()[-1]


def test_doctor_reads_the_whole_file(settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that opens well may be damaged further back, where no start looks."""
    pages = bytearray(file.read_bytes())
    middle = len(pages) // 2 // 4096 * 4096
    pages[middle : middle + 8192] = b"\xa5" * 8192
    file.write_bytes(pages)
    store = Store(settings)
    with pytest.raises(DatabaseDamagedError):
        check_content(store.engine, settings)
    store.close()
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    assert "is damaged" in CliRunner().invoke(captionq, ["doctor"]).output


def test_a_file_cut_in_half_is_damaged(settings: Settings, file: Path) -> None:
    """Whether the start notices or the check does: it is never called good."""
    cut(file)
    with pytest.raises(DatabaseDamagedError):
        check_content(Store(settings).engine, settings)


def test_rows_that_refer_to_nothing_are_found(settings: Settings, file: Path) -> None:
    """The foreign keys of a database that another program changed may lead nowhere."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM batch WHERE id IN (SELECT id FROM batch LIMIT 1)")
    store = Store(settings)
    with pytest.raises(DatabaseDamagedError, match="rows of 'job' refer to rows that are gone"):
        check_content(store.engine, settings)
    store.close()


def test_a_database_that_is_deleted_while_it_is_open_takes_nothing_more(settings: Settings, file: Path) -> None:
    """SQLite would go on writing to the deleted file, and everything acknowledged then would be lost."""
    store = Store(settings)
    add_batch(store, 1)
    file.rename(file.with_name("aside.db"))
    with pytest.raises(DatabaseError, match="was deleted or replaced"):
        add_batch(store, 1)
    file.write_bytes(b"")
    with pytest.raises(DatabaseError, match="was deleted or replaced"):
        store.counts()
    store.close()


def test_a_locked_database_names_the_lock(settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that holds the lock for longer than a writer waits."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0)
    store = Store(settings)
    with locked(file), pytest.raises(OperationalError) as caught, writing(store.engine):
        pass
    assert "has locked the database for too long" in database_error(caught.value).message
    store.close()


def test_a_full_disk_is_named_and_goes_on_when_there_is_room(settings: Settings, file: Path) -> None:
    """SQLite's own limit of pages stands for the disk."""
    store = Store(settings)
    with store.engine.connect() as held:
        held.exec_driver_sql("PRAGMA max_page_count = 1")
        full = held.exec_driver_sql("PRAGMA max_page_count").scalar_one()
    with pytest.raises(OperationalError) as caught:
        add_batch(store, 5 * full)
    error = database_error(caught.value)
    assert isinstance(error, DiskFullError)
    assert error.status == 507
    kept = sum(store.counts().values())
    with store.engine.connect() as held:
        held.exec_driver_sql("PRAGMA max_page_count = 100000")
    add_batch(store, 100)
    assert sum(store.counts().values()) == kept + 100
    store.close()
