"""The copy of a database before its migration: whole at every death, and a way back."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jobs.backups.restore import restore
from jobs.configuration.settings import Settings
from jobs.errors import BackupError, DatabaseNewerError, DiskFullError
from jobs.store.connection import open_database
from jobs.store.databases import schema_version
from jobs.store.databases.schema_version import SCHEMA_VERSION
from jobs.store.databases.sqlite_copy import copies_of, copy_before
from jobs.store.store import Store
from tests.support.migration_kills import MigrationKills
from tests.support.old_databases import OLDEST, bring_old_database, content_of, version_of
from tests.support.postgres import only_sqlite
from tests.support.rows import add_batch

pytestmark = [only_sqlite, pytest.mark.no_tables]


def test_a_migration_says_where_the_copy_is(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The copy holds the rows as they were, in one file for its owner only. A new database gets none, nor one without rows."""
    file = bring_old_database(settings, OLDEST)
    file.chmod(0o600)
    before = content_of(file)
    with caplog.at_level(logging.WARNING):
        Store(settings).close()
    (copy,) = copies_of(file)
    assert copy.name == f"captionq.db.before-{SCHEMA_VERSION}"
    assert [record.getMessage() for record in caplog.records] == [
        f"This version of captionq changes the tables of the database. A copy of it as it was: {copy}"
    ]
    assert (version_of(copy), content_of(copy), copy.stat().st_mode & 0o777) == (OLDEST, before, 0o600)
    Store(settings).close()
    assert {path.name for path in settings.data_dir.glob("captionq.db.*")} == {copy.name}


def test_a_database_without_rows_is_not_copied(settings: Settings) -> None:
    """There is nothing that could be lost, and a new database is no upgrade."""
    file = bring_old_database(settings, OLDEST)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM job")
        connection.execute("DELETE FROM batch")
    Store(settings).close()
    file.unlink()
    Store(settings).close()
    assert copies_of(file) == []


def test_a_death_at_any_point_leaves_the_old_database_or_the_new_one(settings: Settings) -> None:
    """The process is killed at each operation on the copy, after each migration, and at the commit; the next one goes on.

    Among the migrations is one that makes a table again, which SQLite cannot change.
    """
    old = "0013"
    file = bring_old_database(settings, old)
    before, kills, point = content_of(file), MigrationKills(settings), 1
    while kills.open(point):
        assert (version_of(file), content_of(file)) == (old, before)
        for copy in copies_of(file):
            assert (version_of(copy), content_of(copy)) == (old, before)
        point += 1
    assert point > 15
    assert version_of(file) == SCHEMA_VERSION
    (copy,) = copies_of(file)
    assert content_of(copy) == before
    assert {path.name for path in settings.data_dir.glob("captionq.db.*")} == {copy.name}


def test_the_copy_can_be_restored(settings: Settings) -> None:
    """The way back: the database is again as it was, and the changed one is kept."""
    file = bring_old_database(settings, OLDEST)
    before = content_of(file)
    store = Store(settings)
    add_batch(store, 3)
    store.close()
    (copy,) = copies_of(file)
    restored = restore(settings, copy)
    assert restored.manifest.jobs == len(before["job"])
    assert (version_of(file), content_of(file)) == (OLDEST, before)
    assert restored.set_aside is not None
    assert len(content_of(restored.set_aside)["job"]) == len(before["job"]) + 3
    Store(settings).close()
    assert version_of(file) == SCHEMA_VERSION


@pytest.mark.parametrize("harm", ["other tables", "cut", "in use"])
def test_a_file_that_is_no_copy_changes_nothing(settings: Settings, tmp_path: Path, harm: str) -> None:
    """A database of another program, half a copy, and a database whose log holds a part of it."""
    file = bring_old_database(settings, OLDEST)
    Store(settings).close()
    (copy,) = copies_of(file)
    before = content_of(file)
    if harm == "cut":
        os.truncate(copy, copy.stat().st_size // 2)
    elif harm == "in use":
        copy.with_name(f"{copy.name}-wal").write_bytes(b"some rows")
    else:
        copy = tmp_path / "other.db"
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("CREATE TABLE job (id)")
    with pytest.raises(BackupError, match=r"damaged|in use"):
        restore(settings, copy)
    assert content_of(file) == before


def test_a_disk_without_room_for_the_copy_is_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed, and the sentence names the folder and the room."""
    file = bring_old_database(settings, OLDEST)
    before, usage = content_of(file), shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000))
    with pytest.raises(DiskFullError, match="where 3 MB are free") as refused:
        Store(settings)
    assert str(file.parent) in refused.value.message
    assert (version_of(file), content_of(file), copies_of(file)) == (OLDEST, before, [])


def test_the_last_two_copies_are_kept(settings: Settings) -> None:
    """Copies under other names are a person's, or those of `captionq restore`."""
    file = bring_old_database(settings, OLDEST)
    others = [file.with_name(f"captionq.db.{name}") for name in ("before-20261129-101500", "before-mine")]
    for other in others:
        other.touch()
    for version in ("0016", "0017", "0019", "0020"):
        assert copy_before(file, version).exists()
    assert [copy.name[-4:] for copy in copies_of(file)] == ["0019", "0020"]
    assert all(other.exists() for other in others)


def test_an_older_version_names_the_copy_that_it_can_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who goes back to an older captionq is told how to go back with the rows, too."""
    file = bring_old_database(settings, "0015")
    open_database(settings).dispose()
    (copy,) = copies_of(file)
    for module in ("jobs.store.connection", "jobs.backups.restore"):
        monkeypatch.setattr(f"{module}.SCHEMA_VERSION", "0015")
    with pytest.raises(DatabaseNewerError) as refused:
        open_database(settings)
    assert f"captionq restore '{copy}'" in refused.value.message
    restore(settings, copy)
    open_database(settings).dispose()
    assert version_of(file) == "0015"
    assert schema_version.is_older(file)
