"""Leases that end with their claims."""

from __future__ import annotations

from dataclasses import replace

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import LaneQueue, push, take
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.rows import make_job
from worker.dispatch.admission.model_turns import HeldJob
from worker.dispatch.claim_watch import ClaimWatch
from worker.dispatch.faults.database_patience import DatabasePatience
from worker.dispatch.outcomes.job_outcomes import Recorded
from worker.dispatch.queue_worker import QueueWorker
from worker.dispatch.rq_leases import Leases
from worker.pipeline.stub_pipeline import StubPipeline


def test_an_old_outcome_does_not_end_the_lease_of_the_jobs_new_claim(
    settings: Settings, store: Store, connection: Redis
) -> None:
    """The worker was away, lost the job, and got it again, while its old answer waited for the database."""
    job = make_job()
    store.add([job])
    push(connection, Lane.BULK, [job.id])
    worker = QueueWorker("one", connection)
    leases = Leases(worker, 60)
    watch = ClaimWatch(store, StubPipeline(settings), leases, 60, DatabasePatience(settings, lambda: None))
    store.claim([job.id], "one")
    store.recover("one")
    ((entry, queue),) = take(connection, worker.queues, 1)
    assert isinstance(queue, LaneQueue)
    (lease,) = leases.open([HeldJob(entry, queue, None)])
    leases.keep([replace(lease, job=store.claim([job.id], "one")[job.id])])
    watch.end([Recorded(job.id, is_refused=True)])
    assert list(leases.running) == [job.id]
    store.recover("one")
    watch.end([Recorded(job.id, is_refused=True)])
    assert list(leases.running) == []
