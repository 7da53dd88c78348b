"""Restoring a backup into a data folder that no process uses."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from jobs.backups.alone import STOPPING_SECONDS, alone
from jobs.backups.archive import BLOBS, CONFIG, DATABASE, PIECE, Manifest
from jobs.backups.database_copy import is_database, read_copy
from jobs.configuration.config_file import config_path
from jobs.configuration.settings import Settings
from jobs.disk.durable_files import open_private, sync
from jobs.disk.new_names import give_name
from jobs.errors import BackupError, DatabaseNewerError
from jobs.images.stored.blobs import put_blob
from jobs.store.databases.schema_version import SCHEMA_VERSION

_NEW = "captionq.db.restored"
#: The version of the tables in which batches name the data folder of their command.
_FIRST_WITH_MAKERS = "0004"


@dataclass
class Restored:
    """What a restoration has done."""

    manifest: Manifest
    blobs: int = 0
    #: The database that was in the data folder before; None: there was none.
    set_aside: Path | None = None
    #: Whether the configuration file was written: only if there was none.
    has_config: bool = False
    #: Whether the backup's configuration file differs from the one that stays.
    other_config: bool = False


def read_manifest(source: Path) -> Manifest:
    """Read what a backup holds, or a copy of a database. Raises BackupError, OSError."""
    if is_database(source):
        return read_copy(source)
    with _opened(source) as archive:
        return Manifest.read(archive, source)


def restore(settings: Settings, source: Path) -> Restored:
    """Replace the database by the backup's, and add its blobs. The database that was there is set aside.

    The whole backup is read and checked before anything changes. Raises BackupError, DatabaseNewerError, OSError.

    Args:
        source: a backup, or the copy of a database that a migration has left.
    """
    if settings.database_url is not None:
        raise BackupError("The database is a server's (CAPTIONQ_DATABASE_URL): restore it with pg_restore.")
    settings.make_folders()
    with alone(settings):
        new = settings.data_dir / _NEW
        try:
            restored, config = (_take_copy if is_database(source) else _unpack)(source, new, settings)
            _end_processes(new, restored.manifest)
            restored.set_aside = _set_aside(settings.data_dir / DATABASE)
            new.replace(settings.data_dir / DATABASE)
            sync(settings.data_dir)
        finally:
            new.unlink(missing_ok=True)
    _write_config(config, restored)
    return restored


def _take_copy(source: Path, new: Path, _: Settings) -> tuple[Restored, bytes | None]:
    restored = Restored(read_copy(source))
    _check_version(restored.manifest)
    with source.open("rb") as file:
        _write_database(file, new)
    return restored, None


def _unpack(source: Path, new: Path, settings: Settings) -> tuple[Restored, bytes | None]:
    """Write the database of a backup beside its place, and the blobs to theirs; return the configuration file, too."""
    with _opened(source) as archive:
        restored = Restored(Manifest.read(archive, source))
        _check_version(restored.manifest)
        return restored, _read_members(archive, new, restored, settings)


def _check_version(manifest: Manifest) -> None:
    if manifest.schema > SCHEMA_VERSION:
        maker = f"captionq {manifest.captionq}" if manifest.captionq else "A version of captionq"
        raise DatabaseNewerError(f"{maker} has made this backup, which is newer. Update captionq first.")


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise BackupError(f"{source} is no backup of captionq, or is damaged ({error}).") from error


def _read_members(archive: tarfile.TarFile, new: Path, restored: Restored, settings: Settings) -> bytes | None:
    """Write the database beside its place, and the blobs to theirs; return the configuration file."""
    config: bytes | None = None
    found = ""
    while (member := archive.next()) is not None:
        content = archive.extractfile(member)
        if content is None:
            continue
        if member.name == DATABASE:
            found = _write_database(content, new)
        elif member.name == CONFIG:
            config = content.read()
        elif member.name.startswith(BLOBS):
            name, _ = put_blob(
                iter(partial(content.read, PIECE), b""), settings, most=member.size, too_large=BackupError
            )
            if name != member.name.removeprefix(BLOBS):
                raise BackupError(f"The backup is damaged: the content of {member.name} is not what its name says.")
            restored.blobs += 1
    if found != restored.manifest.database_sha256:
        raise BackupError("The backup is damaged: its database is not the one that was backed up.")
    return config


def _write_database(content: IO[bytes], new: Path) -> str:
    """Write the database to a file, and return its SHA-256 in hex digits."""
    digest = hashlib.sha256()
    # A kill may have left it.
    new.unlink(missing_ok=True)
    with open_private(new) as file:
        while piece := content.read(PIECE):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _end_processes(database: Path, manifest: Manifest) -> None:
    """Let no command and no worker of the time of the backup count as alive: their lock files are not in the backup.

    So a run that is repeated takes over what it had left, also in the data folder of another machine.
    """
    if manifest.schema < _FIRST_WITH_MAKERS:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        # No journal that a kill would leave here: SQLite would roll it back into the database of the next restoration.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("UPDATE batch SET maker = NULL WHERE maker IS NOT NULL")
        connection.execute("UPDATE job SET status = 'queued', worker = NULL WHERE status = 'running'")


def _set_aside(database: Path) -> Path | None:
    """Give the database that is there a second name, under which it stays, with its log. Raises BackupError, OSError."""
    if not database.exists():
        return None
    log, index = (database.with_name(database.name + rest) for rest in ("-wal", "-shm"))
    _empty_log(database)
    aside = database.with_name(f"captionq.db.before-{time.strftime('%Y%m%d-%H%M%S')}")
    _keep_as(database, aside)
    if log.exists() and log.stat().st_size:
        _keep_as(log, aside.with_name(f"{aside.name}-wal"))
    # The new database must not be read with the old one's log.
    log.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    return aside


def _keep_as(file: Path, name: Path) -> None:
    if not give_name(file, name):
        raise BackupError(f"{name} exists already. Try again in a second.")


def _empty_log(database: Path) -> None:
    """Make the log a part of the database. Raises BackupError while another program uses the database."""
    try:
        with closing(sqlite3.connect(database, timeout=STOPPING_SECONDS)) as connection:
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        # A damaged database, or one on a full disk, is a reason to restore. Its log stays beside it.
        is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    if is_busy:
        raise BackupError(f"Another program uses {database}. Let it close the database, and try again.")


def _write_config(config: bytes | None, restored: Restored) -> None:
    path = config_path()
    if config is None or path is None:
        return
    if path.exists():
        restored.other_config = path.read_bytes() != config
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keys may be in it.
    with open_private(path) as file:
        file.write(config)
    restored.has_config = True
