"""The leases of a worker on rq entries: opened, kept by heartbeats, reported and given back, many at a time.

rq's own records of one execution cost eleven round trips a job. The same records are written here with rq's own pieces, in one
pipeline a group; tests/test_contracts.py holds the resulting keys equal to rq's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from redis.client import Pipeline
from redis.exceptions import RedisError, WatchError
from rq.executions import Execution
from rq.utils import now
from rq.worker import BaseWorker, WorkerStatus

from jobs.faults import FaultPoint, point
from jobs.queue.lanes import Entry, LaneQueue
from jobs.queue.workers.taken_ids import put_off
from jobs.store.tables import Job
from worker.dispatch.admission.model_turns import HeldJob
from worker.dispatch.retries import AT_ONCE

logger = logging.getLogger("captionq.worker")

#: Errors of a broker that is away, or that accepts no writes: its memory or its disk is full, or it is a replica. Generation goes
#: on, and ended jobs are reported when the broker is back.
AWAY = (RedisError,)


@dataclass(frozen=True)
class Lease:
    """An entry that this worker holds: rq's execution of the entry, and the claimed job."""

    entry: Entry
    queue: LaneQueue
    execution: Execution
    #: None: the row could not be claimed, and the entry is stale.
    job: Job | None = None
    #: Whether the row could not be claimed because another worker runs the job.
    is_elsewhere: bool = False

    @property
    def claimed(self) -> Job:
        """The claimed job of a lease that has one."""
        assert self.job is not None
        return self.job


@dataclass(frozen=True)
class EndedLease:
    """A lease whose row has changed already, and whose end has yet to be reported to rq."""

    lease: Lease
    #: Seconds until the next attempt; None: the job has ended.
    retry_in: int | None = None
    #: Whether the entry stays as it is: another worker has taken the job over, or will.
    keeps_entry: bool = False


class Leases:
    """The leases of one rq worker: those whose jobs run, and those whose end has yet to be reported."""

    def __init__(self, worker: BaseWorker, seconds: int) -> None:
        """`seconds`: how long a heartbeat keeps a lease."""
        self._worker = worker
        self._connection = worker.connection
        self._seconds = seconds
        #: Leases of claimed jobs that run, by job id.
        self.running: dict[str, Lease] = {}
        self._unreported: list[EndedLease] = []

    def __len__(self) -> int:
        """How many leases are held: running and unreported."""
        return len(self.running) + len(self._unreported)

    @property
    def unreported(self) -> int:
        """How many ended jobs have yet to be reported to rq."""
        return len(self._unreported)

    def open(self, group: Iterable[HeldJob]) -> list[Lease]:
        """Lease entries in one round trip.

        Writes the keys that rq writes in `prepare_execution` and `prepare_job_execution`. Raises RedisError.
        """
        leases: list[Lease] = []
        with self._connection.pipeline() as pipeline:
            for held in group:
                entry, queue = held.entry, held.queue
                execution = Execution.create(entry, self._seconds, pipeline=pipeline, worker_name=self._worker.name)
                entry.prepare_for_execution(self._worker.name, pipeline=pipeline)
                pipeline.persist(entry.key)
                pipeline.lrem(queue.intermediate_queue_key, 1, entry.id)
                leases.append(Lease(entry, queue, execution))
            self._worker.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            self._worker.heartbeat(self._seconds, pipeline=pipeline)
            pipeline.execute()
        self._worker.executions.update({lease.execution.id: lease.execution for lease in leases})
        return leases

    def keep(self, leases: Sequence[Lease]) -> list[Lease]:
        """Keep the leases of claimed jobs, which run from now on, and return them. Stale ones are ended."""
        claimed = [lease for lease in leases if lease.job is not None]
        self._unreported += [EndedLease(lease, keeps_entry=lease.is_elsewhere) for lease in leases if lease.job is None]
        self.running.update({lease.claimed.id: lease for lease in claimed})
        return claimed

    def end(self, job_id: str, retry_in: int | None = None, *, keeps_entry: bool = False) -> None:
        """End the lease of a job whose row has changed. rq hears of it in the next `report`."""
        self._unreported.append(EndedLease(self.running.pop(job_id), retry_in, keeps_entry))

    def report(self) -> None:
        """Report to rq which jobs have ended, in three round trips.

        May be repeated after a lost connection: each part is idempotent. Raises RedisError.
        """
        ended = list(self._unreported)
        if ended:
            point(FaultPoint.REPORT)
            self._report(ended)
            del self._unreported[: len(ended)]

    def give_back(self, leases: Iterable[Lease], *, requeue: bool) -> None:
        """Return entries to the front of their lanes, or with `requeue=False` delete them. Raises RedisError."""
        for lease in leases:
            with self._connection.pipeline() as pipeline:
                self._worker.cleanup_execution(lease.entry, pipeline=pipeline, execution=lease.execution)
                if requeue:
                    # Private, pinned: see tests/test_contracts.py.
                    lease.queue._enqueue_job(lease.entry, pipeline=pipeline, at_front=True)  # noqa: SLF001
                else:
                    pipeline.delete(lease.entry.key)
                pipeline.execute()

    def give_back_all(self, released: Collection[str]) -> None:
        """Give back all running leases at the end of the batch: the entries of released jobs return to their lanes, others go.

        Raises RedisError.
        """
        for job_id, lease in self.running.items():
            self.give_back([lease], requeue=job_id in released)
        self._worker.set_state(WorkerStatus.IDLE)

    def beat(self) -> None:
        """Renew the running leases. Raises RedisError."""
        for lease in list(self.running.values()):
            self._worker.maintain_heartbeats(lease.entry, lease.execution)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renew the running leases from a thread of their own while the block (loading a model) holds this thread."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._seconds / 4):
                try:
                    self.beat()
                except AWAY as error:
                    logger.warning("The broker is away (%s) while a model loads.", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _report(self, ended: Sequence[EndedLease]) -> None:
        dependents = [one.lease.entry.dependents_key for one in ended]
        with self._connection.pipeline() as pipeline, suppress(WatchError):
            pipeline.watch(*dependents)
            if not pipeline.exists(*dependents):
                pipeline.multi()
                for one in ended:
                    self._close(one, pipeline)
                pipeline.execute()
                return
        # Other rq jobs depend on these, and rq knows how to release them.
        for one in ended:
            lease = one.lease
            if one.retry_in is None and not one.keeps_entry:
                # Private, pinned: see tests/test_contracts.py.
                self._worker._finalize_success(lease.entry, lease.queue, lease.execution, None)  # noqa: SLF001
            else:
                with self._connection.pipeline() as pipeline:
                    self._close(one, pipeline)
                    pipeline.execute()

    def _close(self, ended: EndedLease, pipeline: Pipeline) -> None:
        """Close a lease, and delete its entry unless the job will be tried again."""
        entry = ended.lease.entry
        self._worker.cleanup_execution(entry, pipeline=pipeline, execution=ended.lease.execution)
        if ended.keeps_entry:
            return
        if ended.retry_in == AT_ONCE:
            ended.lease.queue._enqueue_job(entry, pipeline=pipeline, at_front=True)  # noqa: SLF001  (pinned, as above)
            return
        if ended.retry_in is not None:
            put_off(entry, ended.lease.queue, ended.retry_in, pipeline)
            return
        pipeline.delete(entry.key, entry.dependencies_key, entry.execution_registry.key)
        self._worker.increment_successful_job_count(pipeline)
        if entry.started_at is not None:
            self._worker.increment_total_working_time(now() - entry.started_at, pipeline)
