"""The setting `keep_days`: old rows go by themselves when nothing runs, and what is still needed stays."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ImageTooLargeError
from jobs.images.stored.blob_sweep import sweep_blobs
from jobs.images.stored.blobs import blob_address, blob_path, put_blob
from jobs.store.connection import writing
from jobs.store.retention import keep_days, pruning
from jobs.store.retention.keep_days import Retention
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import until
from tests.support.rows import RESULT, add_batch, make_job

DAY = 86_400.0


def end_all(store: Store, size: int) -> str:
    """Add a batch whose jobs end at once, and return its id."""
    batch, jobs = add_batch(store, size)
    store.cancel([job.id for job in jobs])
    return batch.id


def test_a_process_removes_what_is_old_in_one_line_of_its_log(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Younger rows and open ones stay; the thread ends with its process."""
    old, young, (open_batch, open_jobs) = end_all(store, 3), end_all(store, 1), add_batch(store, 2)
    store.cancel([open_jobs[0].id])
    move_back(store, old, 31)
    move_back(store, open_batch.id, 31)
    monkeypatch.setattr(keep_days, "LOOK_EVERY", 0.01)
    retention = Retention(store.engine, 30)
    with caplog.at_level(logging.INFO, "captionq.database"):
        retention.start()
        until(lambda: bool(caplog.records), "the removal")
        retention.close()
    (record,) = caplog.records
    assert record.getMessage().startswith("Removed old rows (CAPTIONQ_KEEP_DAYS is 30). Jobs: 3, batches: 1,")
    assert {job.batch_id for job in store.jobs()} == {young, open_batch.id}
    assert "retention" not in [thread.name for thread in threading.enumerate()]


def move_back(store: Store, batch_id: str, days: float) -> None:
    """Let a batch and its ends lie in the past."""
    with writing(store.engine) as connection:
        for change in (
            "batch SET created_at = created_at - {0} WHERE id",
            "job SET created_at = created_at - {0} WHERE batch_id",
            "job SET finished_at = finished_at - {0} WHERE batch_id",
        ):
            connection.exec_driver_sql(f"UPDATE {change.format(days * DAY)} = '{batch_id}'")


def test_without_the_setting_nothing_is_removed(store: Store) -> None:
    """There is not even a thread."""
    move_back(store, end_all(store, 1), 1000)
    retention = Retention(store.engine, None)
    retention.start()
    assert "retention" not in [thread.name for thread in threading.enumerate()]
    retention.close()
    assert len(store.jobs()) == 1


def test_it_waits_while_a_job_runs_but_not_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that a job interrupts goes on later; after a day without a quiet moment it goes on beside the jobs."""
    old = end_all(store, 6)
    move_back(store, old, 2)
    running = make_job("running")
    store.add([running])
    retention = Retention(store.engine, 1)
    monkeypatch.setattr(pruning, "ROWS_A_TRANSACTION", 2)
    # A worker takes the job between two transactions of the removal.
    monkeypatch.setattr(pruning, "bulk_pause", lambda _: store.claim([running.id], "worker"))
    assert not retention.remove_old(time.time())
    assert len(store.jobs(batch_id=old)) == 4
    monkeypatch.setattr(keep_days, "LONGEST_WAIT", -1.0)
    assert retention.remove_old(time.time())
    assert [job.id for job in store.jobs()] == [running.id]
    assert store.succeed(running.id, RESULT)


def test_results_with_a_date_stay_until_then(store: Store) -> None:
    """A client was promised the file of its results; without a promise they go with their batch."""
    kept, gone = end_all(store, 1), end_all(store, 1)
    for batch_id, expires in ((kept, time.time() + DAY), (gone, time.time() - DAY)):
        move_back(store, batch_id, 2)
        with writing(store.engine) as connection:
            connection.exec_driver_sql(
                "INSERT INTO stored_file (id, bytes, filename, purpose, batch_id, part, expires_at, created_at) "
                f"VALUES ('file_{batch_id}', 1, 'a', 'batch_output', '{batch_id}', 'output', {expires}, 0)"
            )
    assert Retention(store.engine, 1).remove_old(time.time())
    assert [job.batch_id for job in store.jobs()] == [kept]


def test_images_that_open_jobs_need_stay(settings: Settings, store: Store) -> None:
    """Removed jobs leave their images to the sweep; those of open jobs stay."""
    names, jobs = [], [make_job("removed"), make_job("waiting")]
    for job in jobs:
        name, _ = put_blob([job.id.encode()], settings, most=100, too_large=ImageTooLargeError)
        job.request = job.request.replace(job.source or "", blob_address(name))
        names.append(name)
    store.add(jobs)
    removed, waiting = jobs
    store.cancel([removed.id])
    assert Retention(store.engine, 1).remove_old(time.time() + 2 * DAY)
    assert (
        [job.id for job in store.jobs(statuses=[JobStatus.QUEUED])] == [waiting.id] == [job.id for job in store.jobs()]
    )
    sweep_blobs(store.engine, settings, time.time() + 30 * DAY)
    assert [blob_path(name, settings).exists() for name in names] == [False, True]
