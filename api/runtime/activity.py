"""Whether clients are at work. The API's background threads look for work often then, and seldom at other times."""

from __future__ import annotations

import threading
import time

#: Seconds for which a request that may change something lets the threads look often.
LIVELY_SECONDS = 10.0
#: Seconds between two looks at other times. Other processes may have made work too: a command, or another server.
SELDOM = 10.0


class Activity:
    """The requests of clients, for the pauses of background threads."""

    def __init__(self) -> None:
        self._lively_until = float("-inf")
        self._changed = threading.Condition()
        self._closed = False

    def begins(self) -> None:
        """Note that a request begins which may change something. It ends the pauses of threads that look seldom."""
        now = time.monotonic()
        was_lively = now < self._lively_until
        self._lively_until = now + LIVELY_SECONDS
        if not was_lively:
            with self._changed:
                self._changed.notify_all()

    def rest(self, seconds: float, *, busy: bool) -> bool:
        """Pause between two looks. Returns False at once when the server ends.

        Args:
            seconds: the pause while clients are at work.
            busy: whether the last look found work that is not done.
        """
        # Clients at work do not end the pauses of threads that look often: a look a request would be too many.
        with self._changed:
            if busy or self._is_lively:
                self._changed.wait_for(lambda: self._closed, seconds)
            else:
                self._changed.wait_for(lambda: self._closed or self._is_lively, max(seconds, SELDOM))
            return not self._closed

    def close(self) -> None:
        """End all pauses, also later ones: the server ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def _is_lively(self) -> bool:
        return time.monotonic() < self._lively_until
