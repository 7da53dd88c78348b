"""Jobs whose picture a worker does not reach, and the workers that have tried."""

from __future__ import annotations

import pytest
from redis import Redis

from jobs.errors import ImageNotReachedError
from jobs.queue.lanes import lanes, push, take
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.rows import add_batch
from worker.dispatch.admission.unreached import HAND_BACK_IN, Unreached
from worker.dispatch.queue_worker import QueueWorker


def live(connection: Redis, *names: str) -> None:
    """Register workers with rq, and publish their states."""
    for name in names:
        QueueWorker(name, connection).register_birth()  # type: ignore[no-untyped-call]
        publish_state(connection, WorkerState(name, at=0.0), 60)


def lost(root: str = "/Volumes/Photos") -> ImageNotReachedError:
    error = ImageNotReachedError("a.jpg is not reached.")
    error.root = root
    return error


def test_a_job_goes_on_until_every_live_worker_has_tried(
    store: Store, connection: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Only then its attempts count, and its error names the workers. A missing root is logged once."""
    live(connection, "one", "two")
    _, (job, other) = add_batch(store, 2)
    one, two = Unreached("one", connection), Unreached("two", connection)
    job.attempts = 3
    assert one.judge(job, lost(), 3)[1] == HAND_BACK_IN
    assert one.judge(other, lost(), 3)[1] == HAND_BACK_IN
    error, delay = two.judge(job, lost(), 3)
    assert (error.message, delay) == ("a.jpg is not reached. Tried by one, two.", None)
    job.attempts = 2
    assert two.judge(job, lost(), 3)[1] == 5
    assert [record.getMessage().split()[0] for record in caplog.records] == ["/Volumes/Photos", "/Volumes/Photos"]


def test_a_job_that_was_handed_back_goes_to_the_end_of_its_lane(store: Store, connection: Redis) -> None:
    """The same worker does not take it again at once; another does."""
    live(connection, "one", "two")
    _, jobs = add_batch(store, 3)
    one, two = Unreached("one", connection), Unreached("two", connection)
    one.judge(jobs[0], lost(), 3)
    push(connection, Lane.BULK, [job.id for job in jobs])
    kept = one.pass_on(take(connection, lanes(connection), 2))
    assert [entry.id for entry, _ in kept] == [jobs[1].id]
    assert one.pausing
    left = take(connection, lanes(connection), 3)
    assert [entry.id for entry, _ in left] == [jobs[2].id, jobs[0].id]
    assert two.pass_on(left) == left
