"""Cancelling a batch of any size."""

from __future__ import annotations

import threading

import pytest

from jobs.store import state_changes
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import RESULT, add_batch, make_job


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small batches take several transactions."""
    monkeypatch.setattr(state_changes, "CANCELLED_A_TRANSACTION", 4)


def test_open_jobs_of_a_batch_are_cancelled_and_numbered(store: Store) -> None:
    """Jobs that have ended stay, other batches too; the numbers of the ends go on without gaps."""
    (batch, jobs), (other, _) = add_batch(store, 11), add_batch(store, 2)
    store.claim([job.id for job in jobs[:2]], "worker")
    store.succeed(jobs[0].id, RESULT)
    progress: list[int] = []
    assert store.cancel_batch(batch.id, progress.append) == 10
    assert progress == [4, 8, 10]
    ended = [job for page in store.ended_pages(batch.id) for job in page]
    assert [job.finished_order for job in ended] == list(range(1, 12))
    assert all(job.finished_at is not None for job in ended)
    assert (store.counts(batch.id)[JobStatus.SUCCEEDED], store.counts(batch.id)[JobStatus.CANCELLED]) == (1, 10)
    assert store.counts(other.id)[JobStatus.QUEUED] == 2
    assert store.cancel_batch(batch.id) == 0


def test_others_write_while_a_large_batch_is_cancelled(store: Store) -> None:
    """Each write of another thread waits for one transaction of the cancel, not for all of them."""
    batch, _ = add_batch(store, 400)
    begun, done = threading.Event(), threading.Event()

    def cancel() -> None:
        store.cancel_batch(batch.id, lambda _: begun.set())
        done.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    begun.wait()
    written = 0
    while not done.is_set():
        store.add([make_job(f"beside-{written}")])
        written += 1
    thread.join()
    assert written > 10


def test_no_job_of_a_batch_begins_while_it_is_cancelled(store: Store) -> None:
    """Its workers go to other batches at the first transaction. Afterwards the batch is not paused, unless it was before."""
    (batch, jobs), (other, _) = add_batch(store, 11), add_batch(store, 9)
    claimed: list[int] = []
    store.cancel_batch(batch.id, lambda _: claimed.append(len(store.claim([job.id for job in jobs], "worker"))))
    assert claimed == [0, 0, 0]
    store.pause(other.id, 1.0)
    assert store.cancel_batch(other.id) == 9
    paused = {one.id: one.paused_at for one in (store.batch(batch.id), store.batch(other.id)) if one is not None}
    assert paused == {batch.id: None, other.id: 1.0}
