"""Backups: made while captionq runs, checked when they are brought back, and never half restored."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import stat
import tarfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.backups.archive import MANIFEST
from jobs.backups.backup import UNFINISHED_SECONDS, back_up
from jobs.backups.restore import read_manifest, restore
from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.errors import BackupError, DatabaseNewerError
from jobs.images.stored.blobs import put_blob
from jobs.queue import broker
from jobs.store.connection import writing
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import add_batch


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)


@pytest.fixture
def backup(settings: Settings, store: Store, tmp_path: Path) -> Path:
    """A backup of three jobs and a blob, made while a writer has a transaction open."""
    add_batch(store, 3)
    put_blob([b"a picture"], settings, most=100, too_large=BackupError)
    target = tmp_path / "backup.tar"
    with closing(sqlite3.connect(settings.data_dir / "captionq.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM job")
        back_up(settings, target)
    return target


@pytest.fixture
def other(tmp_path: Path) -> Settings:
    """The settings of an empty data folder."""
    return Settings(data_dir=tmp_path / "other")


def rows(settings: Settings) -> int:
    store = Store(settings)
    count = sum(store.counts().values())
    store.close()
    return count


def test_a_backup_brings_back_the_rows_of_one_moment_and_the_blobs(backup: Path, other: Settings) -> None:
    """The rows are those that were committed when it was made."""
    restored = restore(other, backup)
    assert (restored.manifest.jobs, restored.blobs, restored.set_aside) == (3, 1, None)
    assert rows(other) == 3
    assert [path.read_bytes() for path in other.blob_dir.glob("??/*")] == [b"a picture"]


def test_the_database_that_was_there_is_kept(backup: Path, settings: Settings, store: Store) -> None:
    """Also what its log alone held."""
    add_batch(store, 4)
    store.close()
    restored = restore(settings, backup)
    assert rows(settings) == 3
    assert restored.set_aside is not None
    with closing(sqlite3.connect(restored.set_aside)) as kept:
        assert kept.execute("SELECT count(*) FROM job").fetchone() == (7,)
    assert not list(settings.data_dir.glob("*.restored"))


def test_on_another_machine_no_run_and_no_worker_counts_as_alive(
    settings: Settings, store: Store, other: Settings, tmp_path: Path
) -> None:
    """A run that was interrupted is taken over there, and no job is charged with the death of a worker."""
    (batch, jobs), target = add_batch(store, 2), tmp_path / "running.tar"
    with writing(store.engine) as connection:
        connection.exec_driver_sql(f"UPDATE batch SET maker = '{RunLocks(settings).maker}'")
    store.claim([jobs[0].id], "a worker")
    back_up(settings, target)
    restore(other, target)
    there = Store(other)
    assert RunLocks(other).dead(there.open_batches()) == {batch.id}
    assert there.counts(batch.id)[JobStatus.QUEUED] == 2
    assert [(job.worker, job.deaths) for job in there.jobs()] == [(None, 0)] * 2
    there.close()


def test_a_restoration_that_is_killed_leaves_no_journal(
    settings: Settings, store: Store, other: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would roll it back into the database of the next backup that is restored."""
    add_batch(store, 1)
    with writing(store.engine) as connection:
        connection.exec_driver_sql("UPDATE batch SET maker = 'a data folder'")
    target, connect, beside = tmp_path / "running.tar", sqlite3.connect, set[str]()
    back_up(settings, target)

    def watched(*given: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **options)
        connection.set_trace_callback(lambda _: beside.update(file.name for file in other.data_dir.glob("*.restored*")))
        return connection

    with monkeypatch.context() as patch:
        patch.setattr("sqlite3.connect", watched)
        restore(other, target)
    assert beside == {"captionq.db.restored"}


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
def test_nothing_is_restored_while_another_program_uses_the_database(
    backup: Path, settings: Settings, store: Store, begin: str
) -> None:
    """Rows that only the log holds cannot become a part of the database that is kept."""
    with closing(sqlite3.connect(settings.data_dir / "captionq.db", isolation_level=None)) as other:
        add_batch(store, 4)
        other.execute(begin).execute("SELECT count(*) FROM job").fetchone()
        store.close()
        with pytest.raises(BackupError, match="Another program uses"):
            restore(settings, backup)
    assert rows(settings) == 7
    assert not list(settings.data_dir.glob("*.before-*"))


def test_a_log_that_cannot_be_emptied_is_kept_too(
    backup: Path, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rows are in it, and a full disk leaves them there."""
    database, connect = settings.data_dir / "captionq.db", sqlite3.connect

    def refuse(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
        if path != database:
            return connect(path, timeout)
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise full

    # The last connection that closes empties the log, so one stays open.
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT count(*) FROM job").fetchone()
        add_batch(store, 4)
        store.close()
        with monkeypatch.context() as patch:
            patch.setattr("sqlite3.connect", refuse)
            kept = restore(settings, backup).set_aside
    assert kept is not None
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (7,)
    assert rows(settings) == 3


@pytest.mark.usefixtures("no_links")
def test_a_disk_without_hard_links_will_do(backup: Path, settings: Settings, store: Store) -> None:
    """The disk of a backup is often exFAT, or a share."""
    store.close()
    kept = restore(settings, backup).set_aside
    assert kept is not None
    assert rows(settings) == 3
    with pytest.raises(BackupError, match="exists already"):
        back_up(settings, backup)


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_damaged_backup_changes_nothing(backup: Path, settings: Settings, store: Store) -> None:
    """A bit in the database or in a blob, and a file that was cut off."""
    store.close()
    content = backup.read_bytes()
    in_blob, in_rows = content.index(b"a picture"), content.index(b"SQLite format 3") + 5000
    for harmed in (flip(content, in_blob), flip(content, in_rows), content[: len(content) // 2], b"no tar" * 1000, b""):
        backup.write_bytes(harmed)
        with pytest.raises(BackupError):
            restore(settings, backup)
        assert rows(settings) == 3
        assert not list(settings.data_dir.glob("*.before-*"))


def test_a_newer_backup_is_refused(backup: Path, other: Settings) -> None:
    """Its tables have columns that this version does not know."""
    manifest = replace(read_manifest(backup), schema="9999")
    with tarfile.open(backup, "w") as archive:
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(manifest.to_json())
        archive.addfile(member, io.BytesIO(manifest.to_json()))
    with pytest.raises(DatabaseNewerError, match="Update captionq"):
        restore(other, backup)


def test_nothing_is_restored_while_captionq_runs(backup: Path, settings: Settings, store: Store) -> None:
    """A process that has the old database open would write into it."""
    store.close()
    running = broker.find_or_start(settings)
    try:
        with pytest.raises(BackupError, match="Stop it first"):
            restore(settings, backup)
    finally:
        running.stop()
    restore(settings, backup)


def test_a_backup_replaces_no_file(backup: Path, settings: Settings) -> None:
    """Not even a file that is no backup."""
    before = backup.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        back_up(settings, backup)
    assert backup.read_bytes() == before
    assert [path.name for path in backup.parent.iterdir() if path.name.startswith(".captionq")] == []


def test_a_backup_removes_what_killed_ones_have_left(backup: Path, settings: Settings) -> None:
    """Not the folder of one that may still be made."""
    left, made = (backup.parent / f".captionq-backup-{name}" for name in ("left", "made"))
    for folder in (left, made):
        folder.mkdir()
        (folder / "captionq.db").touch()
    long_ago = time.time() - UNFINISHED_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    back_up(settings, backup.with_name("second.tar"))
    assert [path.name for path in backup.parent.glob(".captionq-*")] == [made.name]


def test_only_the_owner_can_read_a_backup(backup: Path) -> None:
    """It holds prompts, answers, uploads and keys, and lies outside of the data folder, which is closed to others."""
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_the_commands_ask_and_say_what_they_did(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restoration replaces rows, so it asks; the configuration file comes back where there is none."""
    add_batch(store, 2)
    store.close()
    config = tmp_path / "config.toml"
    config.write_text('[settings]\nmodel = "demo"\n')
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(config))
    target = tmp_path / "my backup.tar"
    run = CliRunner()
    made = run.invoke(captionq, ["backup", str(target)])
    assert (made.exit_code, "2 jobs" in made.output) == (0, True)
    monkeypatch.delenv("CAPTIONQ_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new home"))
    monkeypatch.setenv("HOME", str(tmp_path / "new home"))
    asked = run.invoke(captionq, ["restore", str(target)], input="n\n")
    assert asked.exit_code == 1
    assert "2 jobs, made on" in asked.output
    done = run.invoke(captionq, ["restore", "--yes", str(target)])
    assert done.exit_code == 0, done.output
    assert "before-" in done.output
    assert "configuration file is there again" in done.output
    (written,) = (tmp_path / "new home").rglob("config.toml")
    assert written.read_text() == config.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_server_backs_its_database_up_itself(settings: Settings, tmp_path: Path) -> None:
    """Postgres has tools for this, and the sentence names them."""
    served = settings.model_copy(update={"database_url": "postgresql+psycopg://host/captionq"})
    with pytest.raises(BackupError, match="pg_dump"):
        back_up(served, tmp_path / "backup.tar")
