"""The socket of the data folder's own queue server: its path, its privacy, and a connection to it."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError
from jobs.net.broker_address import connect_to, connection_options
from jobs.net.url_passwords import without_password

#: The shortest limit of `sun_path` (macOS: 104 bytes with its closing zero).
SOCKET_PATH_LIMIT = 103
#: A key that shows whether the server accepts writes.
_PROBE = "captionq:probe"
#: The place of sockets whose data folder has too long a path. TMPDIR would not do: it differs between a terminal, launchd
#: and ssh, and macOS empties it.
SHORT_FOLDER = Path("/tmp")  # noqa: S108 — the folder that is made in it is private


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

    Raises BrokerError if the configured address is not valid, or if the data folder's socket lies in another user's folder.
    """
    if settings.redis_url:
        return connect_to(settings.redis_url)
    path = socket_path(settings)
    if path.parent.parent == SHORT_FOLDER and os.path.lexists(path.parent):
        _check_owner(path.parent)
    return Redis(unix_socket_path=str(path), **connection_options())


def has_socket(settings: Settings) -> bool:
    """Return whether the data folder has a server that runs or was killed. Without it a connection is tried 0.3 s in vain."""
    return settings.redis_url is None and socket_path(settings).exists()


def place(settings: Settings) -> str:
    """Return the address of the configured server, without a password, or the path of the data folder's own socket."""
    return without_password(settings.redis_url) if settings.redis_url else str(socket_path(settings))


def answers(connection: Redis) -> bool:
    """Return whether the server answers, if only with an error: a full disk lets it refuse everything."""
    try:
        connection.ping()
    except ResponseError:
        return True
    except RedisError:
        return False
    return True


def shut_down(connection: Redis) -> None:
    """Tell the server to end, and await no answer: it may be suspended. It would notice a signal up to a second later."""
    with suppress(RedisError):
        one = connection.connection_pool.get_connection()
        one.send_command("SHUTDOWN")
        one.disconnect()


def check_writing(connection: Redis) -> None:
    """Raise RedisError unless the server answers and accepts writes: its memory may be full, or it may be a replica."""
    connection.set(_PROBE, 1, ex=60)


def _check_owner(folder: Path) -> None:
    # The owner of the path itself: another user may have left a link in /tmp.
    if folder.lstat().st_uid != os.getuid():
        raise BrokerError(
            f"{folder} belongs to another user. Set CAPTIONQ_DATA_DIR to a folder of your own with a short path."
        )
