"""Events of jobs: the text deltas of the engine, and the events and states that the worker publishes."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.events import read
from jobs.queue.lanes import push
from jobs.queue.worker_state import WorkerState, live_workers, publish_state
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Job, Lane
from tests.support.faults import Poisoned
from tests.support.rows import RESULT, make_job
from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker import service
from worker.dispatch.job_events import JobEvents
from worker.engine.engine import Engine
from worker.engine.sequences import Outcome, TextDelta
from worker.models.backends import VisionBackend
from worker.models.inputs import Embedded, Prepared
from worker.models.loader import LoadedModel, load
from worker.models.vision.feature_memory import ImageFeatures
from worker.worker_name import worker_name

pytestmark = pytest.mark.usefixtures("known_models")


@pytest.fixture(scope="module")
def vision() -> LoadedModel:
    """The built-in vision model."""
    return load("demo")


def test_what_a_followed_row_says_is_its_text_piece_by_piece(vision: LoadedModel) -> None:
    """The deltas hold no text twice and none of a neighbour's; the rest comes with the end of the sequence."""
    backend = VisionBackend(vision)
    pictures = draw_many(4)
    rows = [backend.prepare(ask("Describe this image."), [drawn.image]) for drawn in pictures]
    engine = Engine(backend, slots=4)
    for number, row in enumerate(rows):
        engine.admit(str(number), row, followed=number != 3)
    said: dict[str, list[str]] = {}
    finished: dict[str, str] = {}
    while engine.busy:
        finished |= {row.key: row.answer.text for row in engine.step()}
        for one in engine.said():
            said.setdefault(one.key, []).append(one.text)
    assert finished == {str(number): drawn.caption for number, drawn in enumerate(pictures)}
    assert sorted(said) == ["0", "1", "2"]
    for key, pieces in said.items():
        assert len(pieces) > 3
        assert finished[key].startswith("".join(pieces))
        assert len(finished[key]) - len("".join(pieces)) < 20


def test_log_probabilities_are_said_with_their_tokens(vision: LoadedModel) -> None:
    """Published log-probabilities and those of the rest together are those of the whole answer."""
    backend = VisionBackend(vision)
    row = backend.prepare(ask("Describe this image.", logprobs=True, top_logprobs=2), [draw_many(1)[0].image])
    engine = Engine(backend)
    engine.admit("row", row, followed=True)
    said: list[Any] = []
    whole: list[Any] = []
    while engine.busy:
        for finished in engine.step():
            whole = finished.answer.logprobs or []
        for one in engine.said():
            said += one.logprobs or []
    assert len(said) > 3
    assert said == whole[: len(said)]


def test_readers_get_pieces_of_several_tokens_when_many_read(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream gets a piece each 30 ms, eight streams one each 100 ms, and no text is lost in between."""
    now = [100.0]
    monkeypatch.setattr("worker.dispatch.job_events.time.monotonic", lambda: now[0])
    # Publishing tokens asks the pipeline for nothing.
    events = JobEvents("worker", connection, None, 45, lambda: None)  # type: ignore[arg-type]
    texts = {str(number): "" for number in range(8)}
    pending: dict[str, str] = {}

    def said() -> list[TextDelta]:
        deltas = [TextDelta(key, text, at=len(texts[key])) for key, text in pending.items()]
        texts.update({key: texts[key] + text for key, text in pending.items()})
        pending.clear()
        return deltas

    def decode_for(milliseconds: int, keys: str) -> int:
        """Decode a token each 10 ms; return how many pieces the first stream gets."""
        before = len(read(connection, "0"))
        for _ in range(milliseconds // 10):
            now[0] += 0.01
            pending.update({key: pending.get(key, "") + "x" for key in keys})
            events.tokens(said, lambda _: 1)
        return len(read(connection, "0")) - before

    assert decode_for(310, "0") == 11
    now[0] += 1.0
    assert decode_for(1010, "01234567") == 11
    pieces = [event.data for event in read(connection, "0")]
    assert "".join(piece["text"] for piece in pieces) == texts["0"] == "x" * (31 + 101)


def test_readers_are_woken_once_for_the_jobs_of_a_step(connection: Redis) -> None:
    """What begins and ends in one step is published together, in its order."""
    events = JobEvents("worker", connection, None, 45, lambda: None)  # type: ignore[arg-type]
    jobs = [make_job(), make_job()]
    for job in jobs:
        job.streamed = True
        events.began(job)
    for job in jobs:
        events.succeeded(job, RESULT)
    assert [read(connection, job.id) for job in jobs] == [[], []]
    before = connection.info("commandstats").get("cmdstat_eval", {"calls": 0})["calls"]
    events.flush()
    assert connection.info("commandstats")["cmdstat_eval"]["calls"] == before + 1
    assert [[event.name for event in read(connection, job.id)] for job in jobs] == [["running", "ended"]] * 2
    events.flush()
    assert connection.info("commandstats")["cmdstat_eval"]["calls"] == before + 1


class Narrow:
    """The tokenizer does not know all tokens of its model, and the likeliest few are reported."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def decode(self, ids: Any, **options: Any) -> Any:
        if options.get("skip_special_tokens") is False:
            raise OverflowError("out of range integral type conversion attempted")
        return self._tokenizer.decode(ids, **options)


def test_a_row_that_cannot_be_told_fails_alone(vision: LoadedModel) -> None:
    """The sequence fails in the middle of its answer; its neighbours are published and come to their end."""
    backend = VisionBackend(vision)
    pictures = draw_many(3)
    options: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    rows = [
        backend.prepare(ask("Describe this image.", **options if number == 1 else {}), [drawn.image])
        for number, drawn in enumerate(pictures)
    ]
    backend.tokenizer = Narrow(backend.tokenizer)
    engine = Engine(backend, slots=4)
    for number, row in enumerate(rows):
        engine.admit(str(number), row, followed=True)
    finished: dict[str, Outcome] = {}
    said: set[str] = set()
    while engine.busy:
        finished |= {row.key: row for row in engine.step()}
        said |= {one.key for one in engine.said()}
        # At once, before the other sequences have ended.
        assert "1" in finished or not finished
    assert finished["1"].error is not None
    assert "out of range" in finished["1"].error.message
    assert {key: finished[key].answer.text for key in "02"} == {key: pictures[int(key)].caption for key in "02"}
    assert said == {"0", "2"}


class Unshareable(Poisoned):
    """The real backend; the culprit's prompt is prefilled by itself, after the others of its group."""

    def embed(self, prepared: Prepared, generated: Any = (), seen: ImageFeatures | None = None) -> Embedded:
        embedded = super().embed(prepared, generated, seen or {})
        return dataclasses.replace(embedded, whole=True) if prepared is self.culprit else embedded


def test_rows_that_joined_before_one_of_their_group_failed_do_not_decode_twice(vision: LoadedModel) -> None:
    """The neighbours are taken out of the batch and go in again by themselves."""
    backend = Unshareable(vision, after=-1)
    pictures = draw_many(4)
    rows = {str(number): backend.prepare(ask("Describe this image."), [d.image]) for number, d in enumerate(pictures)}
    backend.culprit = rows["3"]
    engine = Engine(backend, slots=8, group=4)
    finished = run(engine, rows)
    assert finished["3"].error is not None
    texts = {key: row.answer.text for key, row in finished.items() if key != "3"}
    assert texts == {str(number): drawn.caption for number, drawn in enumerate(pictures) if number != 3}
    assert len(engine._batch) == 0


def test_the_worker_publishes_a_followed_job_from_its_beginning_to_its_end(
    settings: Settings, store: Store, connection: Redis
) -> None:
    """A job's tokens are the beginning of its text; a job without followers leaves only the loading of its model."""
    request = Request(
        model="demo-text", messages=[Message(role="user", content="Count to ten.")], sampling=Sampling(max_tokens=64)
    )
    jobs = [
        Job(model="demo-text", request=request.model_dump_json(), digest=request.digest, streamed=streamed)
        for streamed in (True, False)
    ]
    store.add(jobs)
    push(connection, Lane.BULK, [job.id for job in jobs])
    service.run(settings, burst=True)
    events = read(connection, jobs[0].id)
    assert [event.name for event in events if event.name != "tokens"] == ["running", "loading", "loaded", "ended"]
    text = store.job(jobs[0].id).text or ""
    said = "".join(event.data["text"] for event in events if event.name == "tokens")
    assert said
    assert text.startswith(said)
    assert read(connection, jobs[1].id) == []


def test_an_answer_of_the_cache_is_published_as_one_piece(settings: Settings, store: Store, connection: Redis) -> None:
    """A client that shows the growing text sees all of the text before the end."""
    request = Request(model="demo-text", messages=[Message(role="user", content="Count to ten.")])
    jobs = [Job(model="demo-text", request=request.model_dump_json(), digest=request.digest) for _ in range(2)]
    for job in jobs:
        job.streamed = True
        store.add([job])
        push(connection, Lane.INTERACTIVE, [job.id])
        service.run(settings, burst=True)
    cached = store.job(jobs[1].id)
    assert cached.cached
    events = [event for event in read(connection, cached.id) if event.name not in ("loading", "loaded")]
    assert [event.name for event in events] == ["running", "tokens", "ended"]
    assert events[1].data == {"text": cached.text, "at": 0, "attempt": 1}


def test_a_second_attempt_begins_with_a_restart(settings: Settings, store: Store, connection: Redis) -> None:
    """Clients that follow throw away the first attempt's text."""
    request = Request(model="demo-text", messages=[Message(role="user", content="Hello")])
    job = Job(model="demo-text", request=request.model_dump_json(), digest=request.digest, streamed=True)
    store.add([job])
    store.claim([job.id], worker_name(settings))
    service.run(settings, burst=True)
    assert next((event.name, event.data) for event in read(connection, job.id)) == ("restart", {"attempt": 2})


def test_a_worker_is_known_while_it_lives(settings: Settings, store: Store, connection: Redis) -> None:
    """The worker publishes its state until it ends; the state of a killed worker expires."""
    seen: list[WorkerState] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.extend(live_workers(connection))

    request = Request(model="demo-text", messages=[Message(role="user", content="Hello")])
    store.add([Job(model="demo-text", request=request.model_dump_json(), digest=request.digest)])
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        service.run(settings, burst=True)
    finally:
        done.set()
        thread.join()
    assert seen[0].name == worker_name(settings)
    assert "captionq_batch_slots" in seen[0].metrics
    assert live_workers(connection) == []
    connection.sadd("rq:workers", "rq:worker:killed")
    assert live_workers(connection) == []
    publish_state(connection, WorkerState(name="killed", at=1.0, rates={"bulk": 2.0}), 10)
    assert live_workers(connection) == [WorkerState(name="killed", at=1.0, rates={"bulk": 2.0})]
