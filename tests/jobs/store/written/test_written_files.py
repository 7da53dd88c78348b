"""The record of changed files, and the runs that changed them."""

from __future__ import annotations

import time

from jobs.errors import EngineError
from jobs.store.file_tables import WrittenFile
from jobs.store.queries.caption_runs import best_jobs, best_jobs_of, newest_caption_run, newest_jobs_of
from jobs.store.retention import pruning
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import CHANGES_A_PAGE, WrittenFiles
from tests.support.rows import RESULT, add_batch, make_job


def change(job: Job, number: int = 0) -> WrittenFile:
    """Return a change of a job's file."""
    return WrittenFile(
        job_id=job.id, kind="txt", path=job.output or "", after_sha256=f"{number:064x}", before=b"\0\xff"
    )


def test_changes_come_back_newest_first_until_they_are_closed(store: Store) -> None:
    """Across pages; the newest run is the newest with open changes; pruned jobs take their changes along."""
    (first, (old,)), (second, (new,)), _ = add_batch(store, 1), add_batch(store, 1), add_batch(store, 0)
    files, number = WrittenFiles(store.engine), CHANGES_A_PAGE + 5
    files.record(change(old))
    for one in range(number):
        files.record(change(new, one))
    assert files.newest_run() == second.id
    page = files.page(second.id)
    rest = files.page(second.id, page[-1])
    found = [int(listed.after_sha256, 16) for listed in page + rest]
    assert found == list(reversed(range(number)))
    assert page[0].before == b"\0\xff"
    assert len(files.hashes([new.output or ""])[new.output or ""]) == number
    assert files.finished([new.output or ""]) == set()
    for listed in page + rest:
        files.close(listed)
    assert files.newest_run() == first.id
    assert files.hashes([new.output or ""]) == {}
    store.cancel([old.id])
    assert pruning.prune(store.engine, time.time() + 1).jobs == 1
    assert files.newest_run() is None


def test_the_best_job_of_an_image_is_the_newest_that_succeeded(store: Store) -> None:
    """Else the newest."""
    batches = [add_batch(store, 1) for _ in range(3)]
    jobs = [job for _, (job,) in batches]
    assert newest_caption_run(store.engine) == batches[-1][0].id
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    store.fail(jobs[1].id, EngineError("It broke."))
    outputs = [job.output or "" for job in jobs]
    assert {output: job.id for output, job in best_jobs_of(store.engine, outputs).items()} == {
        output: job.id for output, job in zip(outputs, jobs, strict=True)
    }
    assert sorted(job.id for job in best_jobs(store.engine)) == sorted(job.id for job in jobs)


def test_the_newest_job_of_an_image_is_the_last_one_that_was_queued(store: Store) -> None:
    """Also if an earlier one succeeded."""
    _, (first,) = add_batch(store, 1)
    store.claim([first.id], "worker")
    store.succeed(first.id, RESULT)
    again = make_job()
    again.output = first.output
    store.add([again])
    outputs = [first.output or ""]
    assert [job.id for job in best_jobs_of(store.engine, outputs).values()] == [first.id]
    assert [job.id for job in newest_jobs_of(store.engine, outputs).values()] == [again.id]
