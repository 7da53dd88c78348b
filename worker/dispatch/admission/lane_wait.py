"""Waiting for entries without asking for them: a worker without work sleeps until a lane has an entry."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from jobs.net.broker_retry import ANSWER_SECONDS
from jobs.queue.lanes import LaneQueue

#: Seconds after which the server ends a wait by itself. A wait that it does not end then shows that the connection is dead.
PEEK_SECONDS = 60.0
#: Seconds between two looks at a lane that cannot be waited for.
POLL_EVERY = 0.05


class LaneWait:
    """Waits at several lanes at once, on one connection for each.

    `BLMOVE lane lane LEFT LEFT` blocks until the lane has an entry, and moves the first entry to where it is. Nothing is taken,
    so a kill loses nothing, and all workers that wait wake up. It does not matter who pushes an entry: rq's own tools do it too.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._peeks: dict[str, _Peek] = {}
        self._woken, self._bell = socket.socketpair()
        self._bell.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, queues: Sequence[LaneQueue], seconds: float) -> bool:
        """Return when one of the lanes has an entry, after a call of `wake`, or when the seconds are over.

        A lane in which the worker leaves entries to others is looked at again after `POLL_EVERY`: it is never empty. Returns
        False if no lane has an entry; True: one may have. Raises RedisError when the server is away.
        """
        is_polled = any(queue.skipped for queue in queues)
        if is_polled:
            seconds = min(seconds, POLL_EVERY)
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for queue in queues:
                if not queue.skipped:
                    peek = self._peeks.setdefault(queue.key, _Peek(self._connection, queue.key))
                    selector.register(peek.begin(), selectors.EVENT_READ, peek)
            ready = selector.select(seconds)
            for key, _ in ready:
                if isinstance(key.data, _Peek):
                    key.data.end()
                else:
                    self._woken.recv(1024)
        return is_polled or bool(ready)

    def wake(self) -> None:
        """End the wait of the worker's thread, or its next one. May be called from any thread, also after `close`."""
        # A full buffer holds enough calls, and a closed one needs none.
        with suppress(OSError):
            self._bell.send(b"\0")

    def close(self) -> None:
        """Close the connections. No wait may be under way or follow."""
        for peek in self._peeks.values():
            peek.close()
        self._peeks.clear()
        self._woken.close()
        self._bell.close()


class _Peek:
    """One lane's connection, on which a BLMOVE may be under way."""

    def __init__(self, connection: Redis, lane: str) -> None:
        self._command = ("BLMOVE", lane, lane, "LEFT", "LEFT", PEEK_SECONDS)
        self._pool = connection.connection_pool
        self._connection: Any = None
        #: The monotonic time at which the server has to have answered; None: it was asked nothing.
        self._answer_by: float | None = None

    def begin(self) -> Any:
        """Ask the server to answer when the lane has an entry, unless it was asked already. Returns the socket."""
        if self._answer_by is not None and time.monotonic() > self._answer_by:
            self.close()
        if self._answer_by is None:
            self._ask()
            # A server that looks at its clock once a second ends a wait up to a second late.
            self._answer_by = time.monotonic() + PEEK_SECONDS + ANSWER_SECONDS
        return self._connection._sock  # noqa: SLF001  (pinned, see tests/worker/test_contracts.py)

    def _ask(self) -> None:
        if self._connection is not None:
            # The server may have closed the connection since.
            with suppress(RedisConnectionError):
                self._connection.send_command(*self._command)
                return
            self.close()
        self._connection = self._pool.get_connection()
        self._connection.send_command(*self._command)

    def end(self) -> None:
        """Read the answer, which has come. A server that has gone is found by the next command."""
        try:
            # TLS has messages of its own.
            if not self._connection.can_read(0):
                return
            self._connection.read_response()
        except ResponseError:
            # The server changed its role, or does not allow the command: the lanes are looked at by turns for now.
            self.close()
            time.sleep(POLL_EVERY)
        except RedisError:
            self.close()
        self._answer_by = None

    def close(self) -> None:
        self._answer_by = None
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = None
