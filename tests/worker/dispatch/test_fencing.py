"""A worker that is suspended for longer than its lease, and wakes up with outcomes of jobs that another worker runs by then."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import EngineError
from jobs.queue.events import read
from jobs.queue.lanes import Entry, push
from jobs.store.store import Store
from jobs.store.tables import JobStatus, Lane
from tests.support.rows import make_job
from worker import service
from worker.dispatch.claim_watch import ClaimWatch
from worker.engine.sequences import Outcome
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_long", [False, True])
def test_a_worker_that_wakes_up_writes_nothing_about_a_job_that_was_taken_over(
    settings: Settings,
    store: Store,
    connection: Redis,
    tmp_path: Path,
    fails: bool,
    is_long: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row, no file, no error, no event, and the entry stays with the other worker. A short pause is not even noticed."""
    stub = settings.model_copy(update={"model": "stub"})
    (tmp_path / "pictures").mkdir()
    job = make_job()
    job.output, job.model, job.streamed = (tmp_path / "pictures/photo.txt").as_uri(), "stub", True
    job.request = job.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
    store.add([job])
    push(connection, Lane.BULK, [job.id])
    step, shift = StubPipeline.step, [0.0]

    def step_and_sleep(pipeline: StubPipeline) -> list[Outcome]:
        outcomes = step(pipeline)
        if outcomes and not shift[0]:
            store.recover(worker_name(stub))
            assert store.claim([job.id], "other")[job.id].attempts == 2
            shift[0] = 100.0 if is_long else 0.1
        return [Outcome(one.key, error=EngineError("A stale error.")) for one in outcomes] if fails else outcomes

    monkeypatch.setattr(StubPipeline, "step", step_and_sleep)
    unwatched = ClaimWatch.seconds_unwatched
    monkeypatch.setattr(ClaimWatch, "seconds_unwatched", lambda watch: unwatched(watch) + shift[0])
    service.run(stub, burst=True)
    row = store.job(job.id)
    assert (row.status, row.attempts, row.worker) == (JobStatus.RUNNING, 2, "other")
    assert (row.text, row.error_message, row.output_after) == (None, None, None)
    assert list((tmp_path / "pictures").iterdir()) == []
    assert [event.name for event in read(connection, job.id)] == ["running", "loading", "loaded"]
    assert connection.exists(Entry.key_for(job.id))


def test_the_entry_of_a_job_that_another_worker_runs_is_left_to_that_worker(
    settings: Settings, store: Store, connection: Redis
) -> None:
    """The id came a second time. rq's tools still know the other worker's job."""
    job = make_job()
    store.add([job])
    push(connection, Lane.INTERACTIVE, [job.id])
    store.claim([job.id], "other")
    service.run(settings.model_copy(update={"model": "stub"}), burst=True)
    assert store.job(job.id).worker == "other"
    assert connection.exists(Entry.key_for(job.id))
    assert connection.llen("rq:queue:interactive") == 0
