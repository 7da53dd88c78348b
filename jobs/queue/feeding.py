"""Feeding: the rows are the queue, and the bulk lane is a window on them, in which only the next rows have entries.

A feeder makes the lane what the rows say: the next rows of all runs that are not paused, in their order. So entries that were
lost come back, entries of jobs that ended or were paused go, and a new run gets its turn at once, whatever the lane held.
Neither Redis nor the time that a feeder takes grows with the number of rows.

A process that commits rows feeds, and so does each worker when its lane runs low. A process that is killed before it could feed
loses nothing: the next feeder sees its rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from secrets import token_hex
from typing import Any

from redis import Redis
from sqlalchemy import Connection

from jobs.faults import FaultPoint, point
from jobs.queue import lanes
from jobs.queue.lanes import Entries, Entry, LaneQueue, lane_queue, new_fields, rows_first
from jobs.queue.scripts import ARRANGE, RELEASE
from jobs.queue.turns import in_turns, turn_of
from jobs.queue.worker_state import WorkerState, live_workers, rate_of, worker_names
from jobs.store.connection import reading
from jobs.store.queries.waiting_rows import WaitingRun, next_rows, runs_of, waiting_runs
from jobs.store.store import Store
from jobs.store.tables import Lane

_LOCK = "captionq:feeding"
#: How often a feeder was called because rows had changed.
_CALLS = "captionq:feeding:calls"
#: The run that had the last turn in the lane.
_LAST_TURN = "captionq:feeding:turn"
#: Seconds after which a feeder that was killed no longer keeps others from feeding.
LOCK_SECONDS = 10
#: Times that a feeder begins again because rows changed meanwhile. After that the workers see the lane run low.
MOST_ROUNDS = 5
#: Entries a live worker, at least, and as a multiple of its slots: groups and preparation ahead are always full.
ENTRIES_A_WORKER = 64
ENTRIES_A_SLOT = 2
#: Seconds of work in the window, at the measured rate of all workers.
WINDOW_SECONDS = 4.0
#: Maximum number of entries in the window.
MOST_ENTRIES = 4096
#: Seconds between two looks at a lane that may have run low.
LOOK_EVERY = 0.1
#: Ids at the front of the lane among which the run is found whose turn it is.
_FRONT = 16


def enqueue(store: Store, connection: Redis, lane: Lane, ids: Sequence[str], *, more: bool = False) -> None:
    """Bring committed rows on their way: urgent ones into their lane at once, all others by feeding.

    A broker that is away is survived: workers feed by the rows when it is back.

    Args:
        more: earlier rows of the run were brought on their way: if the lane is full enough, these come later by themselves.
    """
    if not ids:
        return
    point(FaultPoint.ENQUEUE)
    with rows_first():
        if lane is Lane.INTERACTIVE:
            lanes.push(connection, lane, ids)
        elif not more or lanes.waiting(connection, lane) < ENTRIES_A_WORKER:
            feed(store, connection)


def feed(store: Store, connection: Redis) -> None:
    """Let the bulk lane follow a change of the rows: new ones, a pause, or a cancelled run. Raises RedisError."""
    connection.incr(_CALLS)
    Feeder(store, connection).feed()


def end_feeding(connection: Redis) -> None:
    """Let the next feeder feed at once, though a process that was killed while it fed left its lock. Raises RedisError.

    A feeder that lives loses the lock too, and begins again.
    """
    with connection.pipeline() as pipeline:
        pipeline.incr(_CALLS)
        pipeline.delete(_LOCK)
        pipeline.execute()


class Feeder:
    """Feeds the bulk lane for one process."""

    def __init__(self, store: Store, connection: Redis) -> None:
        self._store = store
        self._connection = connection
        self._queue: LaneQueue = lane_queue(connection, Lane.BULK)
        #: The number of entries below which the lane is low.
        self._low = ENTRIES_A_WORKER // 2
        #: The count of calls at which every waiting row had an entry; None: some had none.
        self._all_fed_at: int | None = None
        self._looked_at = 0.0

    def top_up(self, *, ran_dry: bool = False, left: int = 0) -> None:
        """Feed if the lane is low and rows may wait without an entry. To be called often. Raises RedisError.

        Args:
            ran_dry: the lane had fewer entries than the caller wanted to take.
            left: entries that the caller leaves to other workers. The lane holds as many more.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY and not (ran_dry and self._all_fed_at is None):
            return
        self._looked_at = now
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.llen(self._queue.key)
            pipeline.get(_CALLS)
            length, calls = pipeline.execute()
        if length - left < self._low and self._all_fed_at != int(calls or 0):
            self.feed(left)

    def feed(self, left: int = 0) -> None:
        """Make the lane what the rows say, unless another process is at it. Raises RedisError. `left`: see `top_up`."""
        for _ in range(MOST_ROUNDS):
            token = token_hex(8)
            with self._connection.pipeline() as pipeline:
                pipeline.get(_CALLS)
                pipeline.set(_LOCK, token, nx=True, ex=LOCK_SECONDS)
                # Only the holder of the lock changes it.
                pipeline.get(_LAST_TURN)
                calls, locked, last_turn = pipeline.execute()
            if not locked:
                # Its holder looks at the count of calls when it is done.
                return
            try:
                is_all = self._arrange(token, left, last_turn.decode(errors="replace") if last_turn else None)
            finally:
                calls_since: Any = self._connection.eval(RELEASE, 2, _LOCK, _CALLS, token)
            if int(calls or 0) == calls_since:
                self._all_fed_at = calls_since if is_all else None
                return

    def _arrange(self, token: str, left: int, last_turn: str | None) -> bool:
        """Write the lane. Returns whether all waiting rows have their entries now. `last_turn`: the run that had it."""
        names = worker_names(self._connection)
        seen, size = self._queue.find_entries(names), window(live_workers(self._connection, names))
        self._low = size // 2
        wanted, is_all, last_turn = self._next(seen, min(MOST_ENTRIES, size + left), last_turn)
        keys = (self._queue.key, LaneQueue.redis_queues_keys, _LOCK, _LAST_TURN)
        ids = (json.dumps(seen.waiting), json.dumps(wanted))
        arguments = (token, Entry.key_for(""), last_turn or "", *ids, *new_fields(self._queue))
        point(FaultPoint.FEED)
        return bool(self._connection.eval(ARRANGE, len(keys), *keys, *arguments)) and is_all

    def _next(self, seen: Entries, size: int, last_turn: str | None) -> tuple[list[str], bool, str | None]:
        """Read the next rows: their ids, whether these are all, and the run of the last one."""
        with reading(self._store.engine) as connection:
            runs = waiting_runs(connection, Lane.BULK)
            front = runs_of(connection, seen.waiting[:_FRONT])
            first = next((turn_of(front[job_id]) for job_id in seen.waiting if job_id in front), None)
            page = max(8, size // max(1, len(runs)) + 1)
            rows = in_turns(runs, partial(_rows, connection, seen.elsewhere, page), first, last_turn)
            found = list(islice(rows, size + 1))
        if found:
            last_turn = turn_of(found[:size][-1][0].batch_id)
        return [job_id for _, job_id in found[:size]], len(found) <= size, last_turn


def window(workers: Sequence[WorkerState]) -> int:
    """Return the number of entries that the lane should hold for these live workers."""
    least = sum(max(ENTRIES_A_WORKER, ENTRIES_A_SLOT * worker.slots) for worker in workers)
    by_rate = round(WINDOW_SECONDS * (rate_of(workers, Lane.BULK) or 0.0))
    return min(MOST_ENTRIES, max(ENTRIES_A_WORKER, least, by_rate))


def _rows(connection: Connection, elsewhere: set[str], page: int, run: WaitingRun) -> Iterator[str]:
    return (job_id for job_id in next_rows(connection, Lane.BULK, run.batch_id, page) if job_id not in elsewhere)
