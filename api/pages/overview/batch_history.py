"""The number of sequences in each worker's batch over the last minutes, looked at by a thread while the API runs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from api.runtime.activity import Activity
from jobs.queue.worker_state import WorkerState

#: Seconds between two looks, and the number of looks that are kept: five minutes.
LOOK_EVERY = 2.0
LOOKS_KEPT = 150


@dataclass(frozen=True)
class Look:
    """The batch of a worker at one moment."""

    #: Number of the look: looks are evenly spaced in time.
    number: int
    rows: int
    slots: int


class BatchHistory:
    """The looks at the batches of all workers. Safe to read from several threads."""

    def __init__(self, read_workers: Callable[[], Sequence[WorkerState]], activity: Activity) -> None:
        self._read_workers = read_workers
        self._activity = activity
        self._looks: dict[str, deque[Look]] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="batch history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread. The server's activity is closed before."""
        self._thread.join()

    def of(self, worker: str) -> list[tuple[int, int, int]]:
        """Return the looks at a worker's batch, the oldest first: how many looks ago each was, its sequences and its slots."""
        with self._lock:
            looks = [(self._number - look.number, look.rows, look.slots) for look in self._looks.get(worker, ())]
        return [look for look in looks if look[0] <= LOOKS_KEPT]

    def look(self, passed: int = 1) -> bool:
        """Look at the batches of all workers once. While the broker is away there is nothing to see.

        `passed`: this is the so manieth moment since the last look. Returns whether a worker is busy.
        """
        try:
            workers = self._read_workers()
        except RedisError:
            workers = ()
        with self._lock:
            self._number += passed
            for worker in workers:
                looks = self._looks.setdefault(worker.name, deque(maxlen=LOOKS_KEPT + 1))
                looks.append(Look(self._number, worker.rows, worker.slots))
            for name in [name for name, looks in self._looks.items() if self._number - looks[-1].number > LOOKS_KEPT]:
                del self._looks[name]
        return any(worker.jobs for worker in workers)

    def _run(self) -> None:
        looked_at, busy = time.monotonic(), True
        while self._activity.rest(LOOK_EVERY, busy=busy):
            passed = round((time.monotonic() - looked_at) / LOOK_EVERY)
            looked_at = time.monotonic()
            # A moment without a look is one without a batch.
            busy = self.look(max(1, passed))
