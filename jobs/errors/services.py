"""Errors of the parts that captionq runs on: settings, data folder, database, broker, worker and benchmark."""

from __future__ import annotations

from jobs.errors.base import CaptionqError


class SettingsError(CaptionqError):
    """A setting is not valid."""

    code = "invalid_settings"


class DataFolderError(CaptionqError):
    """The data folder cannot be used."""

    code = "data_folder_unusable"


class DatabaseError(CaptionqError):
    """The database cannot be used."""

    code = "database_unavailable"
    status = 503
    transient = True


class DatabaseDamagedError(DatabaseError):
    """The content of the database's file is broken. Trying again does not help."""

    code = "database_damaged"
    transient = False


class DatabaseNewerError(DatabaseError):
    """A newer version of captionq has written the database."""

    code = "database_newer"
    transient = False


class DatabaseReplacedError(DatabaseError):
    """The file of the database was deleted or replaced while captionq runs. Start captionq again."""

    code = "database_replaced"
    transient = False


class DatabaseLockedError(DatabaseError):
    """Another program has locked the database."""

    code = "database_locked"


class DiskError(DatabaseError):
    """The disk of the database reports an error."""

    code = "disk_error"


class DiskFullError(DatabaseError):
    """The disk is full. Nothing that was acknowledged is lost."""

    code = "disk_full"
    status = 507


class BackupError(CaptionqError):
    """The backup cannot be made or restored."""

    code = "backup_unusable"


class BrokerError(CaptionqError):
    """The queue's server (Redis or Valkey) cannot be reached."""

    code = "broker_unavailable"
    status = 503
    transient = True


class ObjectStoreError(CaptionqError):
    """The store of objects cannot be reached."""

    code = "object_store_unavailable"
    status = 503
    transient = True
    #: The address of the bucket.
    root: str = ""


class WorkerError(CaptionqError):
    """The worker cannot run."""

    code = "worker_unavailable"
    status = 503


class AlreadyRunningError(WorkerError):
    """A worker is already running for this data folder."""

    code = "worker_already_running"
    status = 409


class ServerError(CaptionqError):
    """The server does not answer, or refuses a command's request."""

    code = "server_error"


class BenchmarkError(CaptionqError):
    """The benchmark could not be completed."""

    code = "benchmark_failed"
