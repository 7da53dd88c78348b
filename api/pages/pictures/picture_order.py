"""The order of a run's pictures, kept for a moment: a gallery asks for one part of it after another."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from jobs.store.queries.run_pictures import PictureChoice, picture_ids
from jobs.store.store import Store
from jobs.store.tables import Job

#: Orders that are kept: one of 100,000 pictures takes 7 MB.
MOST_ORDERS = 4
#: Seconds for which an order is kept; at least this many times the duration of reading it.
ORDER_KEPT, PATIENCE = 2.0, 20


class PictureOrders:
    """Orders of pictures, by run and choice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._orders: OrderedDict[tuple[str, PictureChoice], tuple[float, Sequence[str]]] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self, run_id: str, choice: PictureChoice, *, fresh: bool = False) -> Sequence[str]:
        """Return the ids of the chosen pictures. `fresh`: as they are now."""
        key = (run_id, choice)
        with self._lock:
            until, ids = self._orders.get(key, (0.0, ()))
            begun = time.monotonic()
            if fresh or begun >= until:
                ids = picture_ids(self._store.engine, run_id, choice)
                now = time.monotonic()
                self._orders[key] = now + max(ORDER_KEPT, PATIENCE * (now - begun)), ids
            self._orders.move_to_end(key)
            while len(self._orders) > MOST_ORDERS:
                self._orders.popitem(last=False)
        return ids

    def jobs(self, run_id: str, choice: PictureChoice, at: int, limit: int) -> list[Job]:
        """Return a part of the chosen jobs, in order. Jobs that were pruned meanwhile are left out."""
        ids = self.ids(run_id, choice)[at : at + limit]
        found = {job.id: job for job in self._store.those(ids)}
        return [found[job_id] for job_id in ids if job_id in found]
