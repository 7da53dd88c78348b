"""Lost workers: the jobs of a host that vanished go back to the queue, whichever process sees it first.

A worker that dies and is started again recovers its own jobs (`worker/dispatch/crash_recovery.py`). A worker whose host is gone
does not come back; its sign of life ends with its lease. Every other worker, and each API, looks for that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from redis import Redis
from redis.exceptions import RedisError

from jobs.queue.lanes import Entry
from jobs.queue.reconcile import reconcile
from jobs.queue.worker_state import signs_of_life, worker_names
from jobs.queue.workers.orderly_end import ended_in_order
from jobs.queue.workers.worker_remains import forget_worker
from jobs.store.recovery import Recovered, busy_workers
from jobs.store.store import Store

logger = logging.getLogger("captionq.queue")

#: Seconds between two looks while a worker is missing.
LOOK_EVERY = 2.0
#: Most seconds between two looks at other times. Less than a lease by far: a broker that was away for so long that all signs of
#: life have ended was away at a look.
LOOK_SELDOM = 10.0
#: Part of a lease for which a worker has to be missing beyond the end of its own lease.
SURE_AFTER = 1 / 6


class LostWorkers:
    """Finds lost workers for one process, and takes their jobs back."""

    def __init__(self, store: Store, connection: Redis, lease: float, *, own: Callable[[], str | None]) -> None:
        """`own`: returns the name of this data folder's worker, if there is one: at its next start it recovers its own jobs."""
        self._store = store
        self._connection = connection
        self._lease = lease
        self._own = own
        #: When each worker was first found missing (monotonic time).
        self._missing: dict[str, float] = {}
        self._look_at = float("-inf")
        self._trusted_from = time.monotonic() + lease

    @property
    def looks_soon(self) -> bool:
        """Whether a worker is missing, or the broker is away, so that the next look is due in less than `LOOK_SELDOM`."""
        return self._look_at - time.monotonic() <= LOOK_EVERY

    def look(self) -> list[Recovered]:
        """Take back the jobs of lost workers, if it is time for a look. Returns them, a group for each worker.

        Raises RedisError. A broker that was away, or was restarted, has let all states expire: then every worker gets the time of
        a lease to show itself again.
        """
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_EVERY
        try:
            missing, ends_in = self._find_missing()
        except RedisError:
            self._trusted_from = time.monotonic() + self._lease
            raise
        self._missing = {name: self._missing.get(name, now) for name in missing}
        if not missing:
            # The next worker can be missing when the first sign of life ends. A worker that comes meanwhile has a whole lease.
            self._look_at = now + max(LOOK_EVERY, min(LOOK_SELDOM, self._lease / 4, ends_in))
        if now < self._trusted_from:
            return []
        sure = [name for name, since in self._missing.items() if since < now - self._lease * SURE_AFTER]
        return [self._take_back(name) for name in sure]

    def _find_missing(self) -> tuple[Iterable[str], float]:
        """Return the workers that have jobs or are registered and do not live, and seconds until another one may be missing."""
        names = (busy_workers(self._store.engine) | set(worker_names(self._connection))) - {self._own()}
        alive = signs_of_life(self._connection, names) if names else {}
        return names - set(alive), min(alive.values(), default=float("inf"))

    def _take_back(self, name: str) -> Recovered:
        recovered = self._store.recover(name, died=not ended_in_order(self._connection, name))
        taken = forget_worker(self._connection, name)
        for job_id in recovered.poisoned:
            self._connection.delete(Entry.key_for(job_id))
        reconcile(self._store, self._connection, begun={*recovered.requeued, *taken})
        del self._missing[name]
        if recovered.requeued or recovered.poisoned:
            logger.warning(
                "Worker %s is lost: %d of its jobs go back to the queue, %d are given up.",
                name,
                len(recovered.requeued),
                len(recovered.poisoned),
            )
        return recovered
