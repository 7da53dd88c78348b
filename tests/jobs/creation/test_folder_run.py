"""From image files to queued jobs: skipped, taken over, superseded, followed, refused or new."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from rq.serializers import JSONSerializer

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.creation import folder_run
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun, Submission
from jobs.creation.question import Question
from jobs.creation.retry import resubmit
from jobs.queue.lanes import LaneQueue, push
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from tests.support.rows import RESULT, add_batch

QUESTION = Question("demo", "Describe this image.", Sampling())
OTHER_QUESTION = Question("demo", "What is this?", Sampling())


def pictures(folder: Path, count: int) -> list[PendingImage]:
    """Make empty files: nothing opens them here."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return [PendingImage.at(path, path.with_suffix(".txt")) for path in paths]


def queue_up(
    wanted: list[PendingImage],
    store: Store,
    connection: Redis,
    question: Question = QUESTION,
    *,
    dead: Sequence[Batch] = (),
    at_front: bool = False,
) -> tuple[Batch, Submission]:
    """Submit a new batch. `dead`: batches whose command has ended."""
    batch = Batch(description="test", model="demo")
    ids = {one.id for one in dead}
    made = FolderRun(question, batch, store=store, connection=connection, dead=ids, at_front=at_front).submit(wanted)
    return batch, made


def lane(connection: Redis) -> list[str]:
    """Return the ids that wait, in order."""
    ids: list[str] = LaneQueue(Lane.BULK, connection=connection, serializer=JSONSerializer).get_job_ids()
    return ids


def test_the_rows_ask_for_the_format_of_the_answer(store: Store, connection: Redis, tmp_path: Path) -> None:
    """Every row does."""
    question = Question("demo", "Describe this image.", Sampling(), JSONObjectFormat())
    batch, _ = queue_up(pictures(tmp_path, 2), store, connection, question)
    asked = [row.parsed_request().response_format for row in store.jobs(batch_id=batch.id)]
    assert asked == [JSONObjectFormat()] * 2


def test_every_image_gets_a_row_and_an_entry(store: Store, connection: Redis, tmp_path: Path) -> None:
    """Rows and entries have the order of the images."""
    batch, made = queue_up(pictures(tmp_path, 5), store, connection)
    rows = store.jobs(batch_id=batch.id)
    assert (made.queued, made.resumed) == (5, 0)
    assert [Path(row.source or "").name for row in rows] == [f"{number}.png" for number in range(5)]
    assert lane(connection) == [row.id for row in rows]


def test_what_a_dead_run_left_is_taken_over(store: Store, connection: Redis, tmp_path: Path) -> None:
    """The open jobs of a dead run move to the new batch if they ask the same; ended jobs stay."""
    wanted = pictures(tmp_path, 4)
    first, _ = queue_up(wanted, store, connection)
    ended = store.jobs(batch_id=first.id)[0]
    store.claim([ended.id], "worker")
    store.succeed(ended.id, RESULT)
    second, made = queue_up(wanted[1:], store, connection, dead=[first])
    assert (made.queued, made.resumed) == (0, 3)
    assert store.counts(first.id)[JobStatus.QUEUED] == 0
    assert store.counts(second.id)[JobStatus.QUEUED] == 3
    assert len(lane(connection)) == 3


def test_a_new_question_replaces_the_one_that_a_dead_run_left(store: Store, connection: Redis, tmp_path: Path) -> None:
    """Two jobs that write one file would leave the text of the job that ends last."""
    wanted = pictures(tmp_path, 2)
    first, _ = queue_up(wanted, store, connection)
    second, made = queue_up(wanted, store, connection, OTHER_QUESTION, dead=[first])
    assert store.counts(first.id)[JobStatus.CANCELLED] == 2
    assert (made.queued, made.resumed) == (2, 0)
    assert lane(connection) == [row.id for row in store.jobs(batch_id=second.id)]


def test_a_live_runs_jobs_stay_where_they_are(store: Store, connection: Redis, tmp_path: Path) -> None:
    """The same question is followed, another question is refused, and only images without a job are queued."""
    wanted = pictures(tmp_path, 3)
    first, _ = queue_up(wanted[:2], store, connection)
    before = store.jobs(batch_id=first.id)
    _, same = queue_up(wanted, store, connection)
    assert [writer.job_id for writer in same.followed] == [job.id for job in before]
    assert (same.queued, same.resumed, same.refused) == (1, 0, [])
    _, other = queue_up(wanted, store, connection, OTHER_QUESTION)
    assert (other.queued, other.followed, len(other.refused)) == (0, [], 3)
    assert store.jobs(batch_id=first.id) == before
    assert sum(store.counts().values()) == 3


def test_runs_that_begin_at_the_same_moment_queue_each_image_once(
    store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run with a chunk queues it; the others follow."""
    monkeypatch.setattr(folder_run, "JOBS_A_TRANSACTION", 3)
    wanted = pictures(tmp_path, 24)
    together = threading.Barrier(4)

    def run(_: int) -> Submission:
        together.wait()
        return queue_up(wanted, store, connection)[1]

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(run, range(4)))
    assert Counter(job.output for job in store.jobs()) == Counter(one.output.as_uri() for one in wanted)
    assert [one.queued + len(one.followed) for one in made] == [24] * 4


def test_of_several_failed_jobs_about_one_image_one_is_asked_again(
    store: Store, connection: Redis, tmp_path: Path
) -> None:
    """An image that a live run has queued is not asked about again."""
    wanted = pictures(tmp_path, 2)
    failed: list[Job] = []
    for _ in range(2):
        batch, _ = queue_up(wanted, store, connection)
        failed += store.jobs(batch_id=batch.id)
        store.cancel([job.id for job in failed])
    live, _ = queue_up(wanted[:1], store, connection)
    again = Batch(description="again", model="demo")
    made = resubmit(again, failed, store=store, connection=connection)
    assert (made.queued, {writer.batch_id for writer in made.followed}) == (1, {live.id})
    assert [job.source for job in store.jobs(batch_id=again.id)] == [wanted[1].image.as_uri()]


def test_a_run_that_somebody_watches_goes_ahead_of_what_was_left(
    store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is that of the images, for any size of chunks, whether their jobs are new or taken over."""
    monkeypatch.setattr(folder_run, "JOBS_A_TRANSACTION", 2)
    _, left = add_batch(store, 2)
    push(connection, Lane.BULK, [job.id for job in left])
    wanted = pictures(tmp_path, 5)
    first, _ = queue_up(wanted[:1] + wanted[3:4], store, connection)
    batch, _ = queue_up(wanted, store, connection, dead=[first], at_front=True)
    names = {row.id: Path(row.source or "").name for row in store.jobs(batch_id=batch.id)}
    waiting = lane(connection)
    assert waiting[5:] == [job.id for job in left]
    assert [names[job_id] for job_id in waiting[:5]] == [f"{number}.png" for number in range(5)]
