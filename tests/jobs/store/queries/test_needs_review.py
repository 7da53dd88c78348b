"""Answers that a person should look at."""

from __future__ import annotations

from dataclasses import replace

from jobs.errors import InvalidJSONAnswerError, OutputError
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job
from tests.support.rows import RESULT, add_batch, make_job

FLAWED = replace(RESULT, quality="refusal")


def chosen(store: Store, batch: Batch | None = None) -> list[str]:
    """Return the ids of the jobs that need a review."""
    return [job.id for job in store.jobs(batch_id=batch.id if batch else None, needs_review=True)]


def test_flawed_answers_and_answers_of_failed_jobs_need_a_review(store: Store) -> None:
    """Good answers, jobs without an answer and jobs that wait need none."""
    batch, jobs = add_batch(store, 7)
    good, flawed, broken, unwritten, unanswered, again, _ = [job.id for job in jobs]
    store.claim([job.id for job in jobs[:6]], "worker")
    store.succeed(good, RESULT)
    store.succeed(flawed, FLAWED)
    store.fail(broken, InvalidJSONAnswerError("Not JSON."), RESULT)
    store.fail(unwritten, OutputError("Full."), RESULT)
    store.fail(unanswered, OutputError("Full."))
    store.release(again, OutputError("Full."), FLAWED)
    assert chosen(store, batch) == [flawed, broken, unwritten]
    assert store.review(flawed)
    assert store.review(broken, edited_text="{}")
    assert not store.review(again)
    assert chosen(store, batch) == [unwritten]
    assert (store.job(broken).edited_text, store.job(broken).text) == ("{}", RESULT.text)


def test_an_answer_that_was_replaced_needs_no_review(store: Store) -> None:
    """A newer job has succeeded with the same file. One that failed changes nothing."""
    first = make_job()
    store.add([first])
    store.claim([first.id], "worker")
    store.succeed(first.id, FLAWED)
    second = make_job()
    second.created_at = first.created_at + 1
    store.add([second])
    store.claim([second.id], "worker")
    store.fail(second.id, OutputError("Full."))
    assert chosen(store) == [first.id]
    third = make_job()
    third.created_at = first.created_at + 2
    store.add([third])
    store.claim([third.id], "worker")
    store.succeed(third.id, RESULT)
    assert chosen(store) == []


def test_answers_of_uploaded_folders_are_reviewed_and_those_of_chats_are_not(store: Store) -> None:
    """Neither has a file."""

    def answered(batch: Batch | None) -> Job:
        job = make_job(batch=batch)
        job.output = None
        store.add([job])
        store.claim([job.id], "worker")
        store.succeed(job.id, FLAWED)
        return job

    upload = Batch(description="upload", model="demo", kind=BatchKind.FOLDER)
    listed = Batch(description="list", model="demo", kind=BatchKind.LIST)
    for batch in (upload, listed):
        store.add_batch(batch)
    jobs = [answered(batch) for batch in (None, listed, upload)]
    assert chosen(store) == [jobs[-1].id]
