"""Vocabularies of requests: stored once, however many jobs ask with them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from jobs.configuration.settings import Settings
from jobs.creation.idempotency import find_repeated
from jobs.creation.question import Question, answer_job
from jobs.options.caption_options import QuestionOptions
from jobs.sampling import Sampling
from jobs.store.connection import reading, writing
from jobs.store.file_batches.batch_tables import FileLine
from jobs.store.file_batches.file_lines import FileLines, Place
from jobs.store.retention.pruning import prune
from jobs.store.rows import vocabularies
from jobs.store.rows.vocabularies import StoredVocabulary
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.batches import TEN, add_file_batch

WORDS = tuple(f'Tiere|{number}. "Größe" \\\\ 猫]' for number in range(5000))


def asking(words: tuple[str, ...], prompt: str = "Which?") -> list[Job]:
    """Return jobs about three images that ask for keywords of a vocabulary."""
    batch = Batch(description="test", model="demo")
    options = QuestionOptions(vocabulary=words, prompt=prompt)
    jobs = [answer_job(Path(f"/x/{number}.png"), Question.of(options, "demo", None), batch) for number in range(3)]
    for job in jobs:
        job.batch_id = None
    return jobs


def raw(store: Store) -> list[str]:
    """Return the requests as the database has them."""
    with reading(store.engine) as connection:
        return [row.request for row in connection.exec_driver_sql("SELECT request FROM job")]


def count(store: Store) -> int:
    """Count the stored vocabularies."""
    with reading(store.engine) as connection:
        return connection.execute(select(func.count()).select_from(StoredVocabulary)).scalar_one()


@pytest.fixture(autouse=True)
def _nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does."""
    monkeypatch.setattr(vocabularies, "_READ", {})


def test_jobs_share_one_vocabulary_and_are_read_with_its_words(store: Store) -> None:
    """By every way to read a job. A prompt that looks like a stored request stays as it is."""
    prompt = '"response_format":{"type":"vocabulary","words":["a"],"max_keywords":3}'
    jobs = asking(WORDS, prompt)
    store.add(jobs)
    assert count(store) == 1
    assert max(map(len, raw(store))) < 1000
    expected = {job.id: job.request for job in jobs}
    ids = list(expected)
    assert {job.id: job.request for job in store.those(ids)} == expected
    assert {job.id: job.request for job in store.jobs()} == expected
    assert store.job(ids[0]).request == expected[ids[0]]
    claimed = store.claim(ids, "worker")
    assert {job_id: job.request for job_id, job in claimed.items()} == expected
    changed = claimed[ids[0]].parsed_request().model_copy(update={"sampling": Sampling(seed=1)})
    assert store.ask_again(ids[0], changed)
    assert store.job(ids[0]).parsed_request() == changed
    assert max(map(len, raw(store))) < 1000


def test_a_repeated_request_finds_the_words_too(store: Store) -> None:
    """The client gets the answer to the request that it sent."""
    job, again = asking(WORDS)[0], asking(WORDS)[0]
    job.idempotency_key = again.idempotency_key = "key"
    store.add([job])
    earlier = find_repeated(store, again)
    assert isinstance(earlier, Job)
    assert earlier.parsed_request() == again.parsed_request()


def test_lines_of_batches_are_read_with_the_words(store: Store, settings: Settings) -> None:
    """Their answers are rendered from the request and the result."""
    batch, (job, *_) = add_file_batch(store, settings, TEN), asking(WORDS)
    job.batch_id, request = batch.id, job.request
    line = FileLine(batch_id=batch.id, number=1, end_offset=1, custom_id='"a"', job_id=job.id)
    lines = FileLines(store.engine)
    assert lines.add(batch, [line], [job], after=Place())
    store.cancel([job.id])
    assert [one.job and one.job.request for page in lines.pages(batch.id) for one in page] == [request]


def test_short_vocabularies_and_rows_of_older_versions_stay_as_they_are(store: Store) -> None:
    """A row that holds its words is read, and claimed, as before."""
    short = asking(("red", "blue"))
    store.add(short)
    assert (count(store), set(raw(store))) == (0, {job.request for job in short})
    old = asking(WORDS)[0]
    with writing(store.engine) as connection:
        connection.execute(Job.__table__.insert(), [old.model_dump()])  # type: ignore[attr-defined]  # SQLModel's
    assert store.job(old.id).request == old.request
    assert store.claim([old.id], "worker")[old.id].parsed_request() == old.parsed_request()


def test_a_vocabulary_goes_with_its_last_job(store: Store) -> None:
    """Another one stays while a job has it."""
    gone, kept = asking(WORDS), asking(WORDS[1:])
    store.add([*gone, *kept])
    store.cancel([job.id for job in gone])
    prune(store.engine, time.time() + 60)
    assert count(store) == 1
    assert store.job(kept[0].id).request == kept[0].request
