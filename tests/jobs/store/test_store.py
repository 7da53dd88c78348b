"""The store: guarded state changes, and queries."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jobs.errors import BrokerError, ImageError, InvalidRequestError, NotFoundError
from jobs.store.result import FileChange
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.store import Store
from jobs.store.tables import UNANSWERED, Job, JobStatus
from tests.support.rows import RESULT, add_batch, make_job

TERMINAL = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


def end(store: Store, job_id: str, status: JobStatus) -> None:
    """Bring a queued job to a terminal state as the worker does."""
    store.claim([job_id], "worker")
    match status:
        case JobStatus.SUCCEEDED:
            store.succeed(job_id, RESULT)
        case JobStatus.FAILED:
            store.fail(job_id, ImageError())
        case _:
            store.cancel([job_id])


def test_a_job_is_claimed_by_one_worker_only(store: Store) -> None:
    """Of many claims at once exactly one gets the job."""
    job = make_job()
    store.add([job])
    won: list[str] = []
    together = threading.Barrier(8)

    def claim(worker: str) -> None:
        together.wait()
        if store.claim([job.id], worker):
            won.append(worker)

    threads = [threading.Thread(target=claim, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.job(job.id).worker == won[0]
    assert store.job(job.id).attempts == 1


@pytest.mark.parametrize("status", TERMINAL)
def test_terminal_states_are_final(store: Store, status: JobStatus) -> None:
    """No method leaves a terminal state, and the row does not change."""
    job = make_job()
    store.add([job])
    end(store, job.id, status)
    before = store.job(job.id)
    assert before.status == status
    assert store.claim([job.id], "other") == {}
    assert not store.succeed(job.id, RESULT)
    assert not store.fail(job.id, ImageError())
    assert not store.release(job.id)
    assert store.cancel([job.id]) == []
    assert store.adopt([job.id], "elsewhere", {""}) == 0
    assert store.job(job.id) == before


def test_a_result_is_stored_with_its_usage_and_timings(store: Store) -> None:
    """The row holds the whole result of a generation."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    assert store.succeed(job.id, RESULT)
    row = store.job(job.id)
    assert (row.text, row.finish_reason) == (RESULT.text, "stop")
    assert (row.prompt_tokens, row.image_tokens, row.completion_tokens) == (40, 16, 9)
    assert (row.preprocess_seconds, row.prefill_seconds, row.decode_seconds) == (0.01, 0.02, 0.03)
    assert row.queue_seconds is not None
    assert row.queue_seconds >= 0


def test_several_jobs_are_claimed_at_once(store: Store) -> None:
    """Only queued jobs are claimed. Summaries show the state, the model and the deaths of each."""
    waiting, running, cancelled = jobs = [make_job(name) for name in "123"]
    store.add(jobs)
    store.claim([running.id], "other")
    store.cancel([cancelled.id])
    ids = [*(job.id for job in jobs), "job_unknown"]
    summaries = store.summaries(ids)
    assert [summaries[job.id].status for job in jobs] == ["queued", "running", "cancelled"]
    assert (len(summaries), summaries[waiting.id].model, summaries[waiting.id].deaths) == (3, "demo", 0)
    claimed = store.claim(ids, "worker")
    assert list(claimed) == [waiting.id]
    assert (claimed[waiting.id].worker, claimed[waiting.id].attempts) == ("worker", 1)
    assert store.job(running.id).worker == "other"


def test_a_result_of_a_cancelled_job_is_dropped(store: Store) -> None:
    """The job was cancelled while it ran: its result comes too late, and the worker learns so."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    assert store.cancel([job.id]) == [job.id]
    assert not store.succeed(job.id, RESULT)
    assert store.job(job.id).text is None


def test_a_released_job_can_be_claimed_again_and_keeps_its_count(store: Store) -> None:
    """A transient error leads back to queued, with the reason and the number of attempts."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    assert store.release(job.id, BrokerError())
    assert store.job(job.id).error_code == "broker_unavailable"
    again = store.claim([job.id], "worker")
    assert again[job.id].attempts == 2


def test_ended_jobs_are_numbered_in_the_order_of_their_ends(store: Store) -> None:
    """The number is a cursor: a client that follows the batch sees every job once, however it ended."""
    batch, jobs = add_batch(store, 3)
    end(store, jobs[2].id, JobStatus.SUCCEEDED)
    end(store, jobs[0].id, JobStatus.FAILED)
    store.cancel([jobs[1].id])
    followed = store.finished_after(batch.id, 0)
    assert [job.id for job in followed] == [jobs[2].id, jobs[0].id, jobs[1].id]
    assert [job.finished_order for job in followed] == [1, 2, 3]
    assert store.finished_after(batch.id, 3) == []


def test_jobs_without_an_answer_come_in_pages_of_their_own(store: Store) -> None:
    """Each page is full, however many other jobs ended between its own."""
    batch, jobs = add_batch(store, 2 * ROWS_A_STATEMENT + 3)
    ids = [job.id for job in jobs]
    store.claim(ids[::2], "worker")
    for job_id in ids[:2000:200]:
        assert store.succeed(job_id, RESULT)
    store.cancel(ids)
    pages = list(store.ended_pages(batch.id, statuses=UNANSWERED))
    assert [len(page) for page in pages] == [ROWS_A_STATEMENT, 2 * ROWS_A_STATEMENT + 3 - 6 - ROWS_A_STATEMENT]
    assert {job.status for page in pages for job in page} == {JobStatus.CANCELLED}
    assert sum(map(len, store.ended_pages(batch.id))) == len(ids)


def test_counts_name_every_status(store: Store) -> None:
    """Statuses without jobs are 0, and the counts of a batch are its own."""
    batch, jobs = add_batch(store, 3)
    store.add([make_job("elsewhere")])
    end(store, jobs[0].id, JobStatus.SUCCEEDED)
    assert store.counts(batch.id) == {
        JobStatus.QUEUED: 2,
        JobStatus.RUNNING: 0,
        JobStatus.SUCCEEDED: 1,
        JobStatus.FAILED: 0,
        JobStatus.CANCELLED: 0,
    }
    assert store.counts()[JobStatus.QUEUED] == 3


def test_open_jobs_move_to_the_batch_that_takes_them_up(store: Store) -> None:
    """A dead run's open jobs move to the next run, and not on to a third; ended jobs stay in their batch."""
    batch, jobs = add_batch(store, 2)
    other, third = add_batch(store, 1)[0], add_batch(store, 1)[0]
    ids = [job.id for job in jobs]
    end(store, jobs[0].id, JobStatus.SUCCEEDED)
    assert store.adopt(ids, other.id, {batch.id}) == 1
    assert store.adopt(ids, third.id, {batch.id}) == 0
    assert store.job(jobs[1].id).batch_id == other.id
    assert store.job(jobs[0].id).batch_id == batch.id


def test_a_missing_job_is_named(store: Store) -> None:
    """The error quotes the id, and names the command that lists jobs."""
    with pytest.raises(NotFoundError, match=r"'job_nowhere'.*jobs list"):
        store.job("job_nowhere")


def test_a_follower_of_a_batch_sees_every_end_although_many_jobs_end_at_once(store: Store) -> None:
    """Each number is given once, and no number appears behind one that was seen."""
    batch, jobs = add_batch(store, 80)
    store.claim([job.id for job in jobs], "worker")
    followed: list[str] = []
    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(store.succeed, job.id, RESULT) for job in jobs]
        last, over = 0, False
        while not over:
            over = all(end.done() for end in ends)
            for job in store.finished_after(batch.id, last):
                followed.append(job.id)
                last = job.finished_order or 0
        assert all(end.result() for end in ends)
    assert sorted(followed) == sorted(job.id for job in jobs)
    assert [job.finished_order for job in store.finished_after(batch.id, 0)] == list(range(1, 81))


def test_concurrent_changes_of_the_same_jobs_agree(store: Store) -> None:
    """The callers name the jobs in different orders. None deadlocks, and each job is cancelled by one of them."""
    for _ in range(10):
        batch, jobs = add_batch(store, 60)
        ids = [job.id for job in jobs]
        together = threading.Barrier(4)

        def change(number: int, ids: list[str] = ids, together: threading.Barrier = together) -> list[str]:
            mine = ids if number % 2 else ids[::-1]
            together.wait()
            return store.cancel(mine) if number < 3 else list(store.claim(mine, "worker"))

        with ThreadPoolExecutor(4) as threads:
            first, second, third, _claimed = threads.map(change, range(4))
        # Jobs that were claimed first were cancelled after.
        assert sorted(first + second + third) == sorted(ids)
        assert store.counts(batch.id)[JobStatus.CANCELLED] == 60


def test_every_text_of_a_model_can_be_stored(store: Store) -> None:
    """Postgres cannot hold a NUL character, so another character replaces it."""
    job, failed = make_job("1"), make_job("2")
    store.add([job, failed])
    store.claim([job.id, failed.id], "worker")
    assert store.succeed(job.id, replace(RESULT, text="a\0b"))
    assert store.job(job.id).text == "a\N{REPLACEMENT CHARACTER}b"
    assert store.release(failed.id, BrokerError("a\0b"))
    assert store.fail(failed.id, ImageError("a\0b"))
    assert store.job(failed.id).error_message == "a\N{REPLACEMENT CHARACTER}b"


def test_a_name_with_a_nul_character_names_nothing(store: Store) -> None:
    """Postgres refuses to search for it, which becomes one of captionq's errors."""
    with pytest.raises((NotFoundError, InvalidRequestError)):
        store.job("job_\0")


def test_texts_of_files_are_found_by_address(store: Store) -> None:
    """Also the text that a job was about to write when its worker died; a failed job that wrote nothing has none."""
    _, jobs = add_batch(store, 4)
    claimed = store.claim([job.id for job in jobs[:3]], "worker")
    first, second, third = (claimed[job.id] for job in jobs[:3])
    change = FileChange(output_before="a", output_after="b", output_text="ohwx, A cat.", previous_text=b"by hand")
    assert store.keep_answer(first.id, "A cat.", change)
    store.succeed(second.id, RESULT)
    store.fail(third.id, ImageError())
    outputs = [job.output or "" for job in jobs]
    found = store.written(outputs)
    assert store.unwritten(outputs) == set(outputs) - found.keys() != set(outputs)
    assert store.unwritten([]) == set()
    assert set(found) == {first.output, second.output}
    [dying], [done] = found[first.output or ""], found[second.output or ""]
    assert (dying.open, dying.succeeded, dying.addition, dying.output_after) == (True, False, "ohwx, A cat.", "b")
    assert (done.open, done.succeeded, done.addition, done.output_after) == (False, True, RESULT.text, None)
    assert (dying.previous_text, dying.joined, dying.digest) == (b"by hand", False, first.digest)


@pytest.mark.parametrize(("now", "expected"), [("a", ("a", "b")), ("b", ("a", "b")), ("c", ("c", None))])
def test_a_job_that_is_taken_over_expects_a_new_text_only_if_it_is_new(
    store: Store, now: str, expected: tuple[str, str | None]
) -> None:
    """A file as the dead worker found it, or left it, is known."""
    dead, [job] = add_batch(store, 1)
    store.claim([job.id], "worker")
    store.keep_answer(job.id, "A cat.", FileChange("a", "b", None, b"by hand"))
    store.recover("worker")
    again, _ = add_batch(store, 0)
    repeated = Job(**job.model_dump() | {"id": "job_again", "batch_id": again.id, "output_before": now})
    assert store.take_up([repeated], again.id, {dead.id}).resumed == [job.id]
    row = store.job(job.id)
    assert (row.output_before, row.output_after) == expected
