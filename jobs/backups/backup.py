"""Making a backup, while captionq runs: the rows of one moment, and the blobs that they may refer to."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from jobs.backups.archive import BLOBS, CONFIG, DATABASE, MANIFEST, Manifest, sha256_of
from jobs.configuration.config_file import config_path
from jobs.configuration.settings import Settings
from jobs.disk.durable_files import open_private, sync_folder
from jobs.disk.new_names import give_name
from jobs.errors import BackupError
from jobs.images.stored.blobs import stored_blobs
from jobs.store.databases.schema_version import SCHEMA_VERSION

#: The beginning of the name of the folder in which a backup is made.
_UNFINISHED = ".captionq-backup-"
#: Seconds after which the process that made such a folder is dead.
UNFINISHED_SECONDS = 86_400.0


def back_up(settings: Settings, target: Path, *, advance: Callable[[int], None] = lambda _: None) -> Manifest:
    """Write a backup to a file that does not exist yet. The file is whole or not there, and only its owner can read it.

    Args:
        advance: called with the number of bytes of each blob that was copied.

    Raises BackupError, OSError, sqlite3.Error.
    """
    _check(settings, target)
    _sweep(target.parent)
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as folder:
        snapshot = Path(folder, DATABASE)
        manifest = _take_snapshot(settings, snapshot)
        unfinished = Path(folder, "backup.tar")
        with open_private(unfinished) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _add_bytes(archive, MANIFEST, manifest.to_json())
                archive.add(snapshot, DATABASE)
                _add_config(archive)
                _add_blobs(archive, settings, advance)
            file.flush()
            os.fsync(file.fileno())
        if not give_name(unfinished, target):
            raise _exists(target)
    sync_folder(target.parent)
    return manifest


def blob_bytes(settings: Settings) -> int:
    """Return the bytes of all blobs that a backup would hold."""
    return sum(size for _, size in stored_blobs(settings))


def _sweep(folder: Path) -> None:
    """Remove the copies that killed backups have left here: each is as large as the database and all uploads."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - UNFINISHED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _check(settings: Settings, target: Path) -> None:
    if settings.database_url is not None:
        raise BackupError(
            "The database is a server's (CAPTIONQ_DATABASE_URL): back it up with pg_dump, and copy the folder "
            f"{settings.blob_dir} beside it."
        )
    if not (settings.data_dir / DATABASE).exists():
        raise BackupError(f"There is nothing to back up: {settings.data_dir} holds no database.")
    if target.exists():
        raise _exists(target)
    if not target.parent.is_dir():
        raise BackupError(f"The folder {target.parent} does not exist.")


def _exists(target: Path) -> BackupError:
    return BackupError(f"{target} exists already. Name a new file.")


def _take_snapshot(settings: Settings, snapshot: Path) -> Manifest:
    """Copy the database as it is at one moment. Writers go on meanwhile."""
    with closing(sqlite3.connect(settings.data_dir / DATABASE)) as source, closing(sqlite3.connect(snapshot)) as copy:
        source.backup(copy)
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise BackupError(f"The database is damaged ({found}), and was not backed up. See: captionq doctor")
        schema = copy.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        jobs = copy.execute("SELECT count(*) FROM job").fetchone()[0]
        # One file instead of a database and its log.
        copy.execute("PRAGMA journal_mode = DELETE")
    if schema > SCHEMA_VERSION:
        raise BackupError("A newer version of captionq has written the database. Back it up with that version.")
    with snapshot.open("rb") as file:
        return Manifest(version("captionq"), schema, time.time(), jobs, sha256_of(file))


def _add_config(archive: tarfile.TarFile) -> None:
    path = config_path()
    if path is not None and path.is_file():
        _add_bytes(archive, CONFIG, path.read_bytes())


def _add_blobs(archive: tarfile.TarFile, settings: Settings, advance: Callable[[int], None]) -> None:
    """Add every blob. One that is swept meanwhile is needed by no open job."""
    for path, size in stored_blobs(settings):
        try:
            archive.add(path, f"{BLOBS}{path.parent.name}{path.name}", recursive=False)
        except FileNotFoundError:
            continue
        advance(size)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    archive.addfile(member, io.BytesIO(content))
