"""The queue's server: the configured one, the one that runs for this data folder, or one started for it.

The server listens on a unix socket that only its owner can open, and on no port. It appends to a file (AOF), so a killed server
loses at most the last second, and `reconcile` brings that second back from the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from dataclasses import dataclass
from typing import IO

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError, BrokerSilentError
from jobs.errors.broker_faults import broker_error
from jobs.file_locks import exclusive, lock, try_lock
from jobs.queue.broker_server import await_answer, end, server_pid, start
from jobs.queue.broker_socket import check_writing, connect, has_socket, place, shut_down


@dataclass
class Broker:
    """A connection to the queue's server, and the server's keeper if this process started the server."""

    connection: Redis
    #: The server's keeper. When its standard input closes, the server ends.
    process: subprocess.Popen[bytes] | None = None
    #: The lock file that each process using the data folder's server, and the server's keeper, hold a shared lock on.
    users: IO[bytes] | None = None
    #: The lock file that the process that started the server holds a shared lock on, until it ends the server.
    owner: IO[bytes] | None = None

    def await_end(self) -> None:
        """Wait until the server closes a connection on which nothing is sent: it has ended, or cannot be reached.

        Returns also when `stop` closes the connection, in another thread.
        """
        # redis-py goes on with the buffer of a connection that was closed meanwhile, or finds none.
        with contextlib.suppress(RedisError, ValueError, AttributeError):
            one = self.connection.connection_pool.get_connection()
            try:
                one.read_response(timeout=None)
            finally:
                one.disconnect()
                self.connection.connection_pool.release(one)

    def stop(self) -> None:
        """Close the connection, and end the server if this process started it.

        A server whose keeper was killed ends with its last user. Nothing is lost: the server's file is complete.
        """
        if self.owner is not None:
            self.owner.close()
        if self.process is not None:
            shut_down(self.connection)
            end(self.process)
        elif self.users is not None and self._is_last():
            with contextlib.suppress(RedisError):
                self.connection.shutdown()
        self.connection.close()
        if self.users is not None:
            self.users.close()

    def _is_last(self) -> bool:
        """Leave the users, and return whether no other user is left. If so, a new user waits until the file is closed."""
        assert self.users is not None
        # This process's own lock goes first: of two users that leave at once, each would find the other's. When Linux refuses
        # the exclusive lock, the shared one is gone as well; macOS keeps it.
        lock(self.users, fcntl.LOCK_UN)
        return try_lock(self.users, fcntl.LOCK_EX)


def find(settings: Settings) -> Redis | None:
    """Connect to the configured server, or to the one that runs for this data folder.

    Returns None if no server answers for the data folder. Raises BrokerError when the configured server cannot be used.
    """
    connection = connect(settings)
    if not (settings.redis_url or has_socket(settings)):
        connection.close()
        return None
    try:
        connection.ping()
    except RedisError as error:
        fault = broker_error(error, place(settings))
        if isinstance(error, ResponseError) and fault.transient:
            # It answers, and refuses everything while it cannot write to its disk.
            return connection
        connection.close()
        if settings.redis_url:
            raise fault from error
        return None
    return connection


def fault_of(connection: Redis, settings: Settings) -> BrokerError | None:
    """Return the error that says why the server takes no entries; None: it does."""
    try:
        check_writing(connection)
    except RedisError as error:
        found = broker_error(error, place(settings))
        if isinstance(found, BrokerSilentError) and settings.redis_url is None:
            return BrokerSilentError(f"{found.message} Its PID is {server_pid(settings)}.")
        return found
    return None


def find_or_start(settings: Settings) -> Broker:
    """Connect to the running server, or start one that ends with this process. Raises BrokerError."""
    settings.make_folders()
    if settings.redis_url:
        connection = find(settings)
        assert connection is not None
        return Broker(connection)
    with exclusive(settings.broker_dir / "start.lock"):
        users = (settings.broker_dir / "users.lock").open("ab")
        try:
            # Waits for a process that ends a server without a keeper as its last user.
            lock(users, fcntl.LOCK_SH)
            connection = _find_lasting(settings)
            if connection is not None:
                return Broker(connection, users=users)
            return Broker(connect(settings), start(settings, users), users, _own(settings))
        except BaseException:
            users.close()
            raise


def _find_lasting(settings: Settings) -> Redis | None:
    """Connect to the server that runs for this data folder. Returns None if none runs, or if it ends: nobody owns it.

    A server answers for up to a second after its owner was killed. The start of the next server waits for its end.
    """
    connection = find(settings) or await_answer(settings)
    if connection is None or _is_owned(settings):
        return connection
    shut_down(connection)
    connection.close()
    return None


def _own(settings: Settings) -> IO[bytes]:
    owner = (settings.broker_dir / "owner.lock").open("ab")
    lock(owner, fcntl.LOCK_SH)
    return owner


def _is_owned(settings: Settings) -> bool:
    with (settings.broker_dir / "owner.lock").open("ab") as owner:
        return not try_lock(owner, fcntl.LOCK_EX)
