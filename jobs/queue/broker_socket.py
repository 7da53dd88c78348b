"""The socket of the data folder's own queue server: its path, its privacy, and a connection to it."""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError

#: The shortest limit of `sun_path` (macOS: 104 bytes with its closing zero).
SOCKET_PATH_LIMIT = 103
#: The place of sockets whose data folder has too long a path. TMPDIR would not do: it differs between a terminal, launchd
#: and ssh, and macOS empties it.
SHORT_FOLDER = Path("/tmp")  # noqa: S108 — the folder that is made in it is private


class BrokerDiskError(RedisConnectionError):
    """The server runs, and refuses changes, because it cannot write its file: its disk is full or broken.

    As for a server that is away, the work that needs it is late, and nothing is lost.
    """


def socket_path(settings: Settings) -> Path:
    """Return the socket's path: in the data folder, or in a private folder in /tmp if that path is too long.

    All spellings of the data folder's path, through links too, give the same socket.
    """
    folder = Path(os.path.realpath(settings.broker_dir))
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = sha256(os.fsencode(folder)).hexdigest()[:16]
    return SHORT_FOLDER / f"captionq-{os.getuid()}" / f"{name}.sock"


def make_private(folder: Path) -> None:
    """Make the socket's folder and close it to other users. Raises BrokerError if another user owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(folder)
    folder.chmod(0o700)


def connect(settings: Settings) -> Redis:
    """Make a connection to the configured server or to the data folder's own.

    Raises BrokerError if the configured URL is not valid, or if the data folder's socket lies in another user's folder.
    """
    # `retry` is always given: without it a client made from a URL never retries, and a plain one retries for five seconds.
    retry = Retry(ExponentialBackoff(base=0.02, cap=0.2), 3)
    if settings.redis_url:
        try:
            return _with_disk_errors(Redis.from_url(settings.redis_url, retry=retry, socket_timeout=30))
        except ValueError as error:
            raise BrokerError(f"CAPTIONQ_REDIS_URL cannot be used: {error}.") from error
    path = socket_path(settings)
    if path.parent.parent == SHORT_FOLDER and os.path.lexists(path.parent):
        _check_owner(path.parent)
    return _with_disk_errors(Redis(unix_socket_path=str(path), retry=retry, socket_timeout=30))


def answers(connection: Redis) -> bool:
    """Return whether the server answers."""
    try:
        return bool(connection.ping())
    except BrokerDiskError:
        return True
    except RedisError:
        return False


def _with_disk_errors(client: Redis) -> Redis:
    """Let the client raise BrokerDiskError for a server that cannot write its file. redis-py has no class for that."""
    pool = client.connection_pool
    pool.connection_class = _connection_class(pool.connection_class)
    return client


@cache
def _connection_class(base: type[AbstractConnection]) -> type[AbstractConnection]:
    class Connection(base):  # type: ignore[misc,valid-type]
        def read_response(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super().read_response(*arguments, **options)
            except ResponseError as error:
                if not str(error).startswith("MISCONF"):
                    raise
                # Replies to further commands of a pipeline may follow.
                self.disconnect()
                raise BrokerDiskError(str(error)) from error

    return Connection


def _check_owner(folder: Path) -> None:
    # The owner of the path itself: another user may have left a link in /tmp.
    if folder.lstat().st_uid != os.getuid():
        raise BrokerError(
            f"{folder} belongs to another user. Set CAPTIONQ_DATA_DIR to a folder of your own with a short path."
        )
