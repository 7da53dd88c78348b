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


class DatabaseAddressError(DatabaseError):
    """CAPTIONQ_DATABASE_URL cannot be used."""

    code = "database_address_invalid"
    transient = False


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


class ClaimLostError(CaptionqError):
    """Another worker has taken over the job. Nothing more is written about this attempt."""

    code = "claim_lost"


class BrokerError(CaptionqError):
    """The queue's server (Redis or Valkey) cannot be reached."""

    code = "broker_unavailable"
    status = 503
    transient = True


class BrokerAddressError(BrokerError):
    """CAPTIONQ_REDIS_URL cannot be used."""

    code = "broker_address_invalid"
    transient = False


class BrokerAccessError(BrokerError):
    """The queue's server refuses the user name or the password."""

    code = "broker_access_denied"
    transient = False


class BrokerPermissionError(BrokerError):
    """The rule (ACL) of the queue's server does not permit a command that captionq needs."""

    code = "broker_permission_denied"
    transient = False


class BrokerCertificateError(BrokerError):
    """The queue's server and this machine do not trust each other's certificates."""

    code = "broker_certificate_invalid"
    transient = False


class BrokerMasterError(BrokerError):
    """No sentinel names a master of the queue's servers."""

    code = "broker_master_unknown"


class BrokerClusterError(BrokerError):
    """The queue's server is a cluster."""

    code = "broker_is_cluster"
    transient = False


class BrokerSilentError(BrokerError):
    """The queue's server does not answer. Jobs accepted before are stored, and run when it does."""

    code = "broker_silent"


class BrokerFullError(BrokerError):
    """The memory of the queue's server is full. Jobs accepted before are stored, and run when it has room."""

    code = "broker_full"


class BrokerReadOnlyError(BrokerError):
    """The queue's server accepts no writes. Jobs accepted before are stored, and run when it does."""

    code = "broker_read_only"


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


class ServiceError(CaptionqError):
    """The service cannot be managed."""

    code = "service_manager_failed"


class BenchmarkError(CaptionqError):
    """The benchmark could not be completed."""

    code = "benchmark_failed"
