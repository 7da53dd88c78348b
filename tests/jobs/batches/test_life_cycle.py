"""The life of batches: fed in windows, ended in every way, and gone on with after any death."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from jobs.batches.life_cycle import BatchLife, tally_of
from jobs.configuration.settings import Settings
from jobs.creation.abandoned_batches import ABANDONED_AFTER, end_abandoned
from jobs.errors import NotFoundError
from jobs.images.stored.blob_sweep import sweep_blobs
from jobs.images.stored.blobs import blob_path
from jobs.images.stored.uploads import Uploads
from jobs.queue import lanes
from jobs.store.file_batches.batch_tables import FileBatchStatus, ResultPart
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.file_batches.file_lines import FileLines, Place, Tally
from jobs.store.retention.pruning import prune
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from jobs.store.webhooks.webhook_rows import WebhookStore
from tests.support.batches import TEN, add_file_batch, answer_all, contents, ids, lead, life_of, now, request_line

OUTPUT, ERRORS = ResultPart.OUTPUT, ResultPart.ERRORS


def test_lines_become_jobs_a_window_at_a_time(
    life: BatchLife, store: Store, settings: Settings, fake_connection: Redis
) -> None:
    """Neither the lane nor the table of jobs grows with the file, and the results come in its order."""
    batch = add_file_batch(store, settings, [*TEN[:3], request_line("refused", body={"ask": "no"}), *TEN[3:]])
    statuses = [batch.status]
    while not (batch := now(store, batch)).has_ended:
        life.advance(batch)
        assert FileLines(store.engine).count_open(batch.id) <= 4
        assert lanes.waiting(fake_connection, Lane.BULK) <= 11
        answer_all(store, batch.id, at_most=3)
        statuses.append(batch.status)
    assert list(dict.fromkeys([*statuses, batch.status])) == ["validating", "in_progress", "finalizing", "completed"]
    output, errors = contents(store, batch.id, OUTPUT), contents(store, batch.id, ERRORS)
    assert ids(output) == [str(number) for number in range(10)]
    assert [one["response"]["body"] for one in output] == [{"text": str(number)} for number in range(10)]
    assert [(one["custom_id"], one["response"]["status_code"], one["error"]) for one in errors] == [
        ("refused", 400, None)
    ]
    assert (batch.total, tally_of(batch, FileLines(store.engine))) == (11, Tally(11, 10, 1, 400, 0, 90, errored=1))
    assert batch.model == store.batch(batch.id).model == "demo"
    times = [batch.created_at, batch.in_progress_at or 0, batch.finalizing_at or 0, batch.completed_at or 0]
    assert times == sorted(times)


def test_the_results_are_files_that_grow(life: BatchLife, store: Store, settings: Settings) -> None:
    """They exist once the batch is valid; in the end they know their sizes, and an empty one is gone."""
    uploads = Uploads(store.engine)
    batch = add_file_batch(store, settings, TEN[:3], results_kept=60.0)
    life.advance(batch)
    files = uploads.page(limit=10, purpose="batch_output")
    assert {file.part for file in files} == {OUTPUT, ERRORS}
    life.advance(now(store, batch))
    answer_all(store, batch.id, at_most=1)
    assert ids(contents(store, batch.id, OUTPUT)) == ["0"]
    ended = lead(life, store, batch)
    (file,) = uploads.page(limit=10)
    assert (file.part, file.bytes > 100) == (OUTPUT, True)
    assert file.expires_at == pytest.approx((ended.completed_at or 0) + 60, abs=1)


def test_a_file_with_flaws_fails(life: BatchLife, store: Store, settings: Settings) -> None:
    """It has no jobs and no results, and its flaws are stored."""
    batch = lead(life, store, add_file_batch(store, settings, [*TEN, TEN[0]]))
    assert (batch.status, batch.total, batch.failed_at is not None) == ("failed", 0, True)
    assert [(flaw["code"], flaw["line"]) for flaw in batch.parsed_errors()] == [("duplicate_custom_id", 11)]
    assert store.jobs(batch_id=batch.id) == []
    assert Uploads(store.engine).page(limit=10) == []


@pytest.mark.parametrize("ending", [FileBatchStatus.EXPIRED, FileBatchStatus.CANCELLED])
def test_an_early_end_keeps_the_answers(
    life: BatchLife, store: Store, settings: Settings, ending: FileBatchStatus
) -> None:
    """Lines that run, wait, or have not become jobs get an error each; every line has a result."""
    batch = add_file_batch(store, settings, TEN)
    life.advance(batch)
    life.advance(now(store, batch))
    answer_all(store, batch.id, at_most=1)
    store.claim([store.jobs(batch_id=batch.id, statuses=[JobStatus.QUEUED])[0].id], "worker")
    assert FileBatches(store.engine).wind_down(batch.id, ending)
    batch = now(store, batch)
    assert batch.status == (FileBatchStatus.CANCELLING if ending == "cancelled" else FileBatchStatus.FINALIZING)
    life.advance(batch)
    batch = now(store, batch)
    assert batch.status == ending
    assert getattr(batch, f"{ending}_at") is not None
    assert ids(contents(store, batch.id, OUTPUT)) == ["0"]
    errors = contents(store, batch.id, ERRORS)
    assert ids(errors) == [str(number) for number in range(1, 10)]
    assert {(one["response"], one["error"]["code"]) for one in errors} == {(None, f"batch_{ending}")}
    assert FileLines(store.engine).count_open(batch.id) == 0


def test_no_line_becomes_a_job_after_the_cancel(life: BatchLife, store: Store, settings: Settings) -> None:
    """A feeder that has read the batch before the cancel finds it changed when it writes."""
    batch = add_file_batch(store, settings, TEN)
    life.advance(batch)
    read_before = now(store, batch)
    FileBatches(store.engine).wind_down(batch.id, FileBatchStatus.CANCELLED)
    life.advance(read_before)
    assert FileLines(store.engine).place(batch.id) == Place()
    assert store.jobs(batch_id=batch.id) == []


@pytest.mark.parametrize("steps", [0, 2])
def test_a_batch_expires_at_its_deadline(life: BatchLife, store: Store, settings: Settings, steps: int) -> None:
    """Also one that is not validated yet: then it has no lines."""
    batch = add_file_batch(store, settings, TEN, window=1000)
    for _ in range(steps):
        life.advance(now(store, batch))
    late = now(store, batch).model_copy(update={"expires_at": time.time() - 1})
    life.advance(late)
    batch = lead(life, store, batch)
    assert (batch.status, len(contents(store, batch.id, ERRORS))) == ("expired", 10 if steps else 0)


def test_a_limit_that_was_lowered_meanwhile_stops_no_batch(
    life: BatchLife, store: Store, settings: Settings, fake_connection: Redis
) -> None:
    """Its lines were checked when they came. A line that could not be read would keep the batch from every end."""
    batch = add_file_batch(store, settings, TEN)
    life.advance(batch)
    lowered = life_of(store, fake_connection, settings.model_copy(update={"max_body_bytes": 10}))
    assert lead(lowered, store, batch).status == "completed"
    assert ids(contents(store, batch.id, OUTPUT)) == [str(number) for number in range(10)]


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"no batch")])
def test_a_batch_whose_file_is_lost_can_be_cancelled(
    life: BatchLife, store: Store, settings: Settings, harm: Callable[[Path], object]
) -> None:
    """Lines that have not become jobs have no results."""
    batch = add_file_batch(store, settings, TEN)
    life.advance(batch)
    life.advance(now(store, batch))
    harm(blob_path(batch.input_sha256, settings))
    FileBatches(store.engine).wind_down(batch.id, FileBatchStatus.CANCELLED)
    batch = lead(life, store, batch)
    assert (batch.status, ids(contents(store, batch.id, ERRORS))) == ("cancelled", ["0", "1", "2", "3"])


def test_a_batch_that_has_ended_changes_no_more(life: BatchLife, store: Store, settings: Settings) -> None:
    """A late cancel and a late second runner learn that they lost."""
    batches = FileBatches(store.engine)
    batch = lead(life, store, add_file_batch(store, settings, TEN[:2]))
    assert not batches.wind_down(batch.id, FileBatchStatus.CANCELLED)
    assert not batches.end(batch, "{}", {})
    assert not batches.begin(batch, total=1, model="demo")
    assert now(store, batch) == batch


def test_a_cancelled_job_and_a_failed_one_are_errors_of_their_lines(
    life: BatchLife, store: Store, settings: Settings
) -> None:
    """The batch itself is completed, and an answer that was given again counts as cached tokens."""
    batch = add_file_batch(store, settings, TEN[:3])
    for _ in range(2):
        life.advance(now(store, batch))
    jobs: list[Job] = store.jobs(batch_id=batch.id)
    store.cancel([jobs[0].id])
    store.fail(jobs[1].id, NotFoundError("Gone."))
    batch = lead(life, store, batch)
    errors = contents(store, batch.id, ERRORS)
    assert batch.status == "completed"
    assert [(one["response"] or one["error"]) for one in errors] == [
        {"code": "request_cancelled", "message": "The job of this request was cancelled."},
        {
            "status_code": 500,
            "request_id": jobs[1].id,
            "body": {"error": {"code": "not_found", "message": "Gone."}},
        },
    ]


def test_the_webhook_is_due_at_the_end(life: BatchLife, store: Store, settings: Settings) -> None:
    """Not while the first lines are validated, nor between two windows."""
    hooks = WebhookStore(store.engine)
    batch = add_file_batch(store, settings, TEN, webhook="https://a.example/hook")
    while not now(store, batch).has_ended:
        assert hooks.due(time.time()) == []
        life.advance(now(store, batch))
        answer_all(store, batch.id)
    assert [url for _, url in hooks.due(time.time())] == ["https://a.example/hook"]


def test_an_open_batch_is_neither_given_up_nor_pruned_nor_swept(
    life: BatchLife, store: Store, settings: Settings, fake_connection: Redis
) -> None:
    """Once it has ended it can be pruned as a whole, with its lines and files."""
    batch = add_file_batch(store, settings, TEN)
    late = time.time() + ABANDONED_AFTER + settings.keep_images_days * 86_400
    assert end_abandoned(store=store, connection=fake_connection, now=late) == 0
    assert sweep_blobs(store.engine, settings, late) == 0
    for _ in range(2):
        life.advance(now(store, batch))
    answer_all(store, batch.id)
    assert prune(store.engine, late).batches == 0
    batch = lead(life, store, batch)
    pruned = prune(store.engine, time.time() + 60)
    assert (pruned.jobs, pruned.batches) == (10, 1)
    with pytest.raises(NotFoundError):
        now(store, batch)
    assert Uploads(store.engine).page(limit=10) == []
    assert sweep_blobs(store.engine, settings, late) == 1
    assert not blob_path(batch.input_sha256, settings).exists()
