"""From image files to queued jobs: skipped, taken over, superseded or new."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from rq.serializers import JSONSerializer

from jobs import submission
from jobs.queue import LaneQueue, push
from jobs.requests import Sampling
from jobs.response_format import JSONObjectFormat
from jobs.store import Store
from jobs.submission import Existing, Question, Submission, Wanted, submit, without_text
from jobs.tables import JobStatus, Lane
from tests.rows import RESULT, add_batch

QUESTION = Question("demo", "Describe this image.", Sampling())


def pictures(folder: Path, count: int) -> list[Wanted]:
    """Empty files: nobody opens them here."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return [Wanted(path, path.with_suffix(".txt")) for path in paths]


def queue_up(
    wanted: list[Wanted], store: Store, connection: Redis, question: Question = QUESTION, *, at_front: bool = False
) -> Submission:
    """Submit without the arguments that do not matter."""
    return submit(wanted, question, store=store, connection=connection, description="test", at_front=at_front)


def lane(connection: Redis) -> list[str]:
    """The ids that wait, in order."""
    ids: list[str] = LaneQueue(Lane.BULK, connection=connection, serializer=JSONSerializer).get_job_ids()
    return ids


def test_images_that_have_their_text_are_skipped(tmp_path: Path) -> None:
    """Unless they are to be replaced."""
    wanted = pictures(tmp_path, 3)
    wanted[1].output.write_text("there")
    images = [one.image for one in wanted]
    assert list(without_text(images, Existing.SKIP)) == [wanted[0], None, wanted[2]]
    assert list(without_text(images, Existing.REPLACE)) == wanted


def test_the_rows_ask_for_the_format_of_the_answer(store: Store, connection: Redis, tmp_path: Path) -> None:
    """Each of them."""
    question = Question("demo", "Describe this image.", Sampling(), JSONObjectFormat())
    made = queue_up(pictures(tmp_path, 2), store, connection, question)
    asked = [row.parsed_request().response_format for row in store.jobs(batch_id=made.batch.id)]
    assert asked == [JSONObjectFormat()] * 2


def test_every_image_gets_a_row_and_an_entry(store: Store, connection: Redis, tmp_path: Path) -> None:
    """In the order of the images."""
    made = queue_up(pictures(tmp_path, 5), store, connection)
    rows = store.jobs(batch_id=made.batch.id)
    assert (made.queued, made.resumed) == (5, 0)
    assert [Path(row.source or "").name for row in rows] == [f"{number}.png" for number in range(5)]
    assert lane(connection) == [row.id for row in rows]


def test_the_same_command_takes_over_what_is_still_open(store: Store, connection: Redis, tmp_path: Path) -> None:
    """The interrupted run's jobs move to the new batch; what has ended does not."""
    wanted = pictures(tmp_path, 4)
    first = queue_up(wanted, store, connection)
    ended = store.jobs(batch_id=first.batch.id)[0]
    store.claim(ended.id, "worker")
    store.succeed(ended.id, RESULT)
    second = queue_up(wanted[1:], store, connection)
    assert (second.queued, second.resumed) == (0, 3)
    assert store.counts(first.batch.id)[JobStatus.QUEUED] == 0
    assert store.counts(second.batch.id)[JobStatus.QUEUED] == 3
    assert len(lane(connection)) == 4


def test_a_new_question_replaces_the_queued_old_one(store: Store, connection: Redis, tmp_path: Path) -> None:
    """Two jobs that write one file would leave the text of whichever ends last."""
    wanted = pictures(tmp_path, 2)
    first = queue_up(wanted, store, connection)
    second = queue_up(wanted, store, connection, Question("demo", "What is this?", Sampling()))
    assert store.counts(first.batch.id)[JobStatus.CANCELLED] == 2
    assert (second.queued, second.resumed) == (2, 0)
    assert lane(connection) == [row.id for row in store.jobs(batch_id=second.batch.id)]


def test_a_run_that_somebody_watches_goes_ahead_of_what_was_left(
    store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of its images, whatever the size of the chunks; what it takes over comes along."""
    monkeypatch.setattr(submission, "CHUNK", 2)
    _, left = add_batch(store, 2)
    push(connection, Lane.BULK, [job.id for job in left])
    wanted = pictures(tmp_path, 5)
    queue_up(wanted[:1], store, connection)
    made = queue_up(wanted, store, connection, at_front=True)
    names = {row.id: Path(row.source or "").name for row in store.jobs(batch_id=made.batch.id)}
    waiting = lane(connection)
    assert waiting[5:] == [job.id for job in left]
    assert sorted(names[job_id] for job_id in waiting[:5]) == [f"{number}.png" for number in range(5)]
    assert [names[job_id] for job_id in waiting[2:5]] == ["2.png", "3.png", "4.png"]
