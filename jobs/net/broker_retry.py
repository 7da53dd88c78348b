"""Retries of commands to the queue's server, and how long a server that does not answer is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, AuthorizationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

T = TypeVar("T")

#: Seconds that a command or a new connection may take. redis-py's default, and longer than any command waits for entries.
ANSWER_SECONDS = 5.0
#: Times that a lost connection is made again for one command.
RETRIES = 3
#: Seconds after which a server that has just become silent is asked again. Then one command at a time waits for an answer.
FIRST_PAUSE = 1.0
#: Errors after which a command is not tried again. A refused password stays refused, and servers lock out clients that repeat it.
_FINAL = (RedisTimeoutError, AuthenticationError, AuthorizationError)


class BrokerRetry(Retry):
    """The retries of one client, for all its connections.

    A lost connection is made again. A command that was not answered in time is not repeated: the server may still run it. From
    then on until the server answers, one command at a time is sent; the others fail at once. So a frozen server costs a
    request some seconds at most, whatever the number of its commands and of the requests beside it.
    """

    def __init__(self) -> None:
        super().__init__(ExponentialBackoff(base=0.02, cap=0.2), RETRIES)
        self._thread = threading.local()
        self._is_silent = False
        #: Monotonic time at which the next command is sent to a silent server.
        self._ask_at = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the same object: each connection of redis-py copies the retries of its client."""
        return self

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """Call `do`, and again after a lost connection; see redis-py. Raises RedisError."""
        if getattr(self._thread, "is_calling", False):
            # A command that connects first. The whole of it is repeated.
            return do()
        self._take_turn()
        self._thread.is_calling = True
        try:
            answer = self._call(do, fail, is_retryable, with_failure_count)
        except Exception as error:
            self._note(is_silent=isinstance(error, RedisTimeoutError))
            raise
        finally:
            self._thread.is_calling = False
        self._note(is_silent=False)
        return answer

    def _call(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None,
        with_failure_count: bool,
    ) -> T:
        failures = 0
        while True:
            try:
                return do()
            except (RedisConnectionError, RedisTimeoutError) as error:
                if is_retryable is not None and not is_retryable(error):
                    raise
                failures += 1
                # Closes the connection, also after the last try: a late answer would be read as another command's.
                fail(error, failures) if with_failure_count else fail(error)
                if failures > RETRIES or isinstance(error, _FINAL):
                    raise
                time.sleep(self._backoff.compute(failures))

    def _take_turn(self) -> None:
        """Raise TimeoutError while the server is silent and was asked a moment ago."""
        if not self._is_silent:
            return
        now = time.monotonic()
        if now < self._ask_at:
            raise RedisTimeoutError("The server did not answer a moment ago")
        self._ask_at = now + ANSWER_SECONDS

    def _note(self, *, is_silent: bool) -> None:
        if is_silent and not self._is_silent:
            self._ask_at = time.monotonic() + FIRST_PAUSE
        self._is_silent = is_silent
