"""The worker in this process, on a real broker and the real models, until its lanes are empty."""

from __future__ import annotations

import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import mlx.core as mx
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Queue
from rq.command import send_stop_job_command
from rq.serializers import JSONSerializer

from jobs.captions import text_files
from jobs.captions.outputs import recorded_write
from jobs.captions.writable_folders import write_error
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.creation.retry import resubmit
from jobs.errors import ModelError, ModelTooLargeError, WorkerError
from jobs.models.model_info import built_in_models
from jobs.queue.events import read
from jobs.queue.lanes import Entry, LaneQueue, lanes, push
from jobs.requests import Message, Request, path_of
from jobs.sampling import Sampling
from jobs.store.connection import writing
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from tests.support.postgres import Postgres, both_databases, fall_silent
from tests.support.processes import until
from tests.support.scenes import save_scenes
from tools.demo_model import texts
from worker import service
from worker.dispatch import retries
from worker.dispatch.admission.model_turns import MAX_WAIT, HeldJob
from worker.dispatch.metal_worker import MetalWorker
from worker.dispatch.rq_leases import Lease, Leases
from worker.engine.sequences import Outcome
from worker.models.loader import LoadedModel, load
from worker.pipeline.pipeline import Pipeline
from worker.pipeline.resident_models import ResidentModels
from worker.worker_name import worker_name

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("known_models")]

#: Tokens of an answer that takes seconds.
MANY = 1900


def queue_scenes(
    folder: Path, count: int, store: Store, connection: Redis, prompt: str = "Describe this image."
) -> tuple[Batch, dict[str, str]]:
    """Queue questions about pictures. Returns the right caption by the picture's address."""
    captions = save_scenes(folder, count)
    question = Question("demo", prompt, Sampling(max_tokens=64))
    wanted = [PendingImage.at(path, path.with_suffix(".txt")) for path in captions]
    batch = Batch(description="test", model="demo")
    FolderRun(question, batch, store=store, connection=connection).submit(wanted)
    return batch, {path.as_uri(): caption for path, caption in captions.items()}


def add_text_job(store: Store, asked: str, model: str = "demo-text") -> Job:
    """Add a row that asks a model without an image."""
    request = Request(model=model, messages=[Message(role="user", content=asked)], sampling=Sampling(max_tokens=64))
    job = Job(model=model, request=request.model_dump_json(), digest=request.digest)
    store.add([job])
    return job


def add_endless_job(store: Store) -> Job:
    """Add a followed job whose answer takes all its tokens: no token that would end it may come."""
    sampling = Sampling(max_tokens=MANY, logit_bias={0: -100, 2: -100}, logprobs=True)
    messages = [Message(role="user", content="Count to twenty.")]
    request = Request(model="demo-text", messages=messages, sampling=sampling)
    job = Job(model="demo-text", request=request.model_dump_json(), digest=request.digest, streamed=True)
    store.add([job])
    return job


def assert_nothing_is_left(connection: Redis) -> None:
    """Assert that Redis holds no entry, execution or lease: only the rows know of the jobs."""
    for queue in lanes(connection):
        assert queue.ids() == set()
    assert connection.keys("rq:job:*") == []
    assert connection.keys("rq:execution*") == []


@both_databases
def test_it_empties_its_lanes_and_leaves_nothing_in_redis(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """Twenty pictures, sixteen slots: every row has its own picture's caption, its usage and its times."""
    batch, captions = queue_scenes(tmp_path / "pictures", 20, store, connection)
    service.run(settings, burst=True)
    rows = store.jobs(batch_id=batch.id)
    assert {row.source: row.text for row in rows} == captions
    for row in rows:
        assert (row.status, row.attempts, row.finish_reason) == (JobStatus.SUCCEEDED, 1, "stop")
        assert (row.prompt_tokens or 0) > (row.image_tokens or 0) > 0
        assert (row.completion_tokens or 0) > 0
        times = (row.queue_seconds, row.preprocess_seconds, row.prefill_seconds, row.decode_seconds)
        assert all(seconds is not None and seconds > 0 for seconds in times)
    assert_nothing_is_left(connection)


def test_rows_without_entries_and_rows_of_a_dead_worker_are_run(
    settings: Settings, store: Store, connection: Redis
) -> None:
    """Redis is empty: the database is enough."""
    orphan, abandoned = add_text_job(store, "Hello"), add_text_job(store, "Count to ten.")
    store.claim([abandoned.id], worker_name(settings))
    service.run(settings, burst=True)
    assert (store.job(orphan.id).text or "").startswith("Hello!")
    row = store.job(abandoned.id)
    assert (row.status, row.attempts, row.deaths) == (JobStatus.SUCCEEDED, 2, 1)


def test_a_worker_keeps_its_name_when_the_machine_is_called_otherwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Mac's host name changes with the network; another data folder has another worker."""
    name = worker_name(settings)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert worker_name(settings) == name
    other = settings.model_copy(update={"data_dir": tmp_path})
    assert worker_name(other) != name


def test_an_entry_that_comes_twice_runs_once(settings: Settings, store: Store, connection: Redis) -> None:
    """The second entry of a job is dropped, and a job whose row is gone or cancelled does not run."""
    job, cancelled = add_text_job(store, "Hello"), add_text_job(store, "Hello")
    store.cancel([cancelled.id])
    push(connection, Lane.BULK, [job.id])
    push(connection, Lane.BULK, [cancelled.id, "job_unknown"])
    push(connection, Lane.INTERACTIVE, [job.id])
    service.run(settings, burst=True)
    assert (store.job(job.id).status, store.job(job.id).attempts) == (JobStatus.SUCCEEDED, 1)
    assert store.job(cancelled.id).attempts == 0
    assert_nothing_is_left(connection)


def test_what_redis_names_is_never_called(settings: Settings, store: Store, connection: Redis, tmp_path: Path) -> None:
    """An entry that names a function fails its own row; its neighbour is answered."""
    job, neighbour = add_text_job(store, "Hello"), add_text_job(store, "Thanks")
    queue = Queue(Lane.BULK, connection=connection, serializer=JSONSerializer)
    witness = tmp_path / "called"
    queue.enqueue("os.mkdir", str(witness), job_id=job.id)
    push(connection, Lane.BULK, [neighbour.id])
    service.run(settings, burst=True)
    row = store.job(job.id)
    assert (row.status, row.error_code) == (JobStatus.FAILED, "invalid_request_error")
    assert "os.mkdir" in (row.error_message or "")
    assert not witness.exists()
    assert store.job(neighbour.id).status == JobStatus.SUCCEEDED


def test_models_are_swapped_between_batches(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """Text and vision jobs in one lane; an image for the text-only model is refused, an unknown model is named."""
    batch, captions = queue_scenes(tmp_path / "pictures", 3, store, connection)
    talk = [add_text_job(store, "Count to ten.") for _ in range(3)]
    unknown = add_text_job(store, "Hello", model="/no/such/model")
    image = store.jobs(batch_id=batch.id)[0].parsed_request().model_copy(update={"model": "demo-text"})
    blind = Job(model="demo-text", request=image.model_dump_json(), digest=image.digest)
    store.add([blind])
    push(connection, Lane.BULK, [*(job.id for job in talk), unknown.id, blind.id])
    service.run(settings, burst=True)
    assert {row.source: row.text for row in store.jobs(batch_id=batch.id)} == captions
    assert {store.job(job.id).text for job in talk} == {"one two three four five six seven eight nine ten"}
    assert store.job(unknown.id).error_code == "model_not_found"
    assert store.job(blind.id).error_code == "images_not_supported"


def test_a_text_that_cannot_be_written_is_tried_again_and_kept(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The folder is missing: three attempts with pauses, then the reason; the row has the text."""
    batch, captions = queue_scenes(tmp_path / "pictures", 2, store, connection)
    bad = store.jobs(batch_id=batch.id)[0]
    request = bad.parsed_request()
    lost = Job(
        model="demo",
        request=request.model_dump_json(),
        digest=request.digest,
        source=bad.source,
        output=(tmp_path / "gone" / "a.txt").as_uri(),
    )
    store.add([lost])
    push(connection, Lane.BULK, [lost.id])
    deadline = 3
    while store.job(lost.id).status != JobStatus.FAILED and deadline:
        # A burst ends while an attempt is put off; the next worker takes the job up.
        service.run(settings, burst=True)
        deadline -= 1
        for queue in lanes(connection):
            for job_id in queue.scheduled_job_registry.get_job_ids():
                connection.zadd(queue.scheduled_job_registry.key, {job_id: 0})
    row = store.job(lost.id)
    assert (row.status, row.error_code, row.attempts) == (JobStatus.FAILED, "output_error", settings.max_attempts)
    assert row.text == captions[bad.source or ""]
    assert {one.text for one in store.jobs(batch_id=batch.id)} == set(captions.values())


def test_a_kept_answer_is_written_without_being_generated_again(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only folder ends the jobs at once, a broken disk after pauses; once there is a place, no model is needed."""
    batch, captions = queue_scenes(tmp_path / "pictures", 2, store, connection)
    forbidden, broken = store.jobs(batch_id=batch.id)
    faults = {path_of(forbidden.output or "").stem: errno.EROFS, path_of(broken.output or "").stem: errno.EIO}
    real = text_files.write_output

    def fails(path: Path, *_: object, **__: object) -> NoReturn:
        raise write_error(f"{path.name} could not be written", OSError(faults[path.stem], "no place"))

    monkeypatch.setattr(recorded_write, "write_output", fails)
    # A second's pause could end before the first worker does.
    monkeypatch.setattr(retries, "BACKOFF", (retries.LONGEST_DELAY,))
    service.run(settings, burst=True)
    row = store.job(forbidden.id)
    assert (row.status, row.error_code, row.attempts) == (JobStatus.FAILED, "output_forbidden", 1)
    assert (row.error_message or "").endswith(f"The answer is kept; to write it: captionq jobs retry {batch.id}")
    assert store.job(broken.id).status == JobStatus.QUEUED
    monkeypatch.setattr(recorded_write, "write_output", real)
    monkeypatch.setattr(ResidentModels, "_load", None)
    for queue in lanes(connection):
        for job_id in queue.scheduled_job_registry.get_job_ids():
            connection.zadd(queue.scheduled_job_registry.key, {job_id: 0})
    again = Batch(description="again", model="demo")
    resubmit(again, [row], store=store, connection=connection)
    service.run(settings, burst=True)
    rows = [*store.jobs(batch_id=again.id), store.job(broken.id)]
    assert [(one.status, one.attempts) for one in rows] == [(JobStatus.SUCCEEDED, 1), (JobStatus.SUCCEEDED, 2)]
    for one in rows:
        assert path_of(one.output or "").read_text() == f"{captions[one.source or '']}\n"
        assert (one.finish_reason, one.text) == ("stop", captions[one.source or ""])


def test_texts_that_were_written_by_hand_meanwhile_stay(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The jobs fail at once and keep their answers; their neighbours are written."""
    batch, captions = queue_scenes(tmp_path / "pictures", 4, store, connection)
    rows = store.jobs(batch_id=batch.id)
    outputs = [path_of(row.output or "") for row in rows]
    outputs[1].write_text("by hand\n")
    outputs[2].mkdir()
    service.run(settings, burst=True)
    rows = store.jobs(batch_id=batch.id)
    assert [row.error_code for row in rows] == [None, "output_changed", "output_occupied", None]
    assert [row.attempts for row in rows] == [1] * 4
    assert [row.text for row in rows] == list(captions.values())
    assert outputs[1].read_text() == "by hand\n"
    assert outputs[0].read_text() == f"{rows[0].text}\n"


def test_a_job_that_was_there_at_two_deaths_runs_alone(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """If the job is the culprit, no other job dies with it."""
    batch, _ = queue_scenes(tmp_path / "pictures", 6, store, connection)
    suspect = store.jobs(batch_id=batch.id)[2]
    for _ in range(2):
        store.claim([suspect.id], worker_name(settings))
        store.recover(worker_name(settings))
    service.run(settings, burst=True)
    rows = store.jobs(batch_id=batch.id)
    alone = next(row for row in rows if row.id == suspect.id)
    assert alone.status == JobStatus.SUCCEEDED
    assert alone.started_at is not None
    assert alone.finished_at is not None
    for row in rows:
        if row.id != suspect.id:
            assert row.started_at is not None
            assert row.finished_at is not None
            assert row.finished_at <= alone.started_at or row.started_at >= alone.finished_at


@pytest.mark.parametrize("how", ["captionq", "rq"])
def test_a_job_that_is_cancelled_while_it_runs_is_stopped(
    settings: Settings, connection: Redis, store: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running job is cancelled by its row or by rq's own stop-job; its neighbour is answered."""
    job, neighbour = add_endless_job(store), add_text_job(store, "Hello")
    push(connection, Lane.BULK, [job.id, neighbour.id])
    step, cancelled = MetalWorker._step, threading.Event()

    def step_and_cancel(worker: MetalWorker) -> None:
        step(worker)
        if read(connection, job.id)[-1].name == "tokens" and not cancelled.is_set():
            cancelled.set()
            if how == "captionq":
                store.cancel([job.id])
            else:
                send_stop_job_command(connection, job.id, serializer=JSONSerializer)

    monkeypatch.setattr(MetalWorker, "_step", step_and_cancel)
    service.run(settings, burst=True)
    assert store.job(job.id).status == JobStatus.CANCELLED
    assert store.job(job.id).text is None
    told = [event.data["logprobs"] for event in read(connection, job.id) if event.name == "tokens"]
    assert 0 < sum(map(len, told)) < MANY
    assert store.job(neighbour.id).status == JobStatus.SUCCEEDED
    assert_nothing_is_left(connection)


def test_it_never_forks(settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metal does not survive a fork: any fork in this process is an error while the worker runs."""

    def forbidden() -> int:
        raise AssertionError("the worker forked")

    monkeypatch.setattr("os.fork", forbidden)
    job = add_text_job(store, "Hello")
    service.run(settings, burst=True)
    assert store.job(job.id).status == JobStatus.SUCCEEDED


def test_entries_are_read_as_json(settings: Settings, store: Store, connection: Redis) -> None:
    """A pickle in an entry is data without a meaning, and not code."""
    job = add_text_job(store, "Hello")
    push(connection, Lane.BULK, [job.id])
    connection.hset(Entry.key_for(job.id), "data", b"cos\nsystem\n(S'true'\ntR.")
    service.run(settings, burst=True)
    assert store.job(job.id).status == JobStatus.FAILED
    assert LaneQueue(Lane.BULK, connection=connection, serializer=JSONSerializer).ids() == set()


def test_a_broker_that_is_away_when_jobs_are_leased_delays_them(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs are held until the broker is back: no sweep is needed, and each job is claimed once."""
    jobs = [add_text_job(store, "Hello!") for _ in range(3)]
    push(connection, Lane.BULK, [job.id for job in jobs])
    lease, tries = Leases.open, []

    def away_at_first(leases: Leases, group: list[HeldJob]) -> list[Lease]:
        tries.append(len(group))
        if len(tries) == 1:
            raise RedisConnectionError("away")
        return lease(leases, group)

    monkeypatch.setattr(Leases, "open", away_at_first)
    service.run(settings, burst=True)
    assert len(tries) > 1
    rows = [store.job(job.id) for job in jobs]
    assert [(row.status, row.attempts) for row in rows] == [(JobStatus.SUCCEEDED, 1)] * 3
    assert_nothing_is_left(connection)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_it_outlives_a_database_that_goes_away(
    settings: Settings, store: Store, connection: Redis, postgres: Postgres
) -> None:
    """The worker keeps its answers and writes them when the database is back: no job is blamed, or generated twice."""
    jobs = [add_text_job(store, "Count to twenty.") for _ in range(120)]
    push(connection, Lane.BULK, [job.id for job in jobs])

    def restart_the_database() -> None:
        until(lambda: store.counts()[JobStatus.SUCCEEDED] > 0, "the first answer")
        postgres.stop()
        postgres.start()

    with ThreadPoolExecutor(1) as thread:
        restarting = thread.submit(restart_the_database)
        service.run(settings, burst=True)
        restarting.result()
    rows = [store.job(job.id) for job in jobs]
    assert {(row.status, row.deaths) for row in rows} == {(JobStatus.SUCCEEDED, 0)}
    assert len({row.text for row in rows}) == 1
    assert_nothing_is_left(connection)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_it_outlives_a_sleep_within_a_transaction(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cuts the silent writer off, so that others can write; its jobs run again, and no job is blamed."""
    jobs = [add_text_job(store, "Count to twenty.") for _ in range(8)]
    push(connection, Lane.BULK, [job.id for job in jobs])
    step, slept = MetalWorker._step, threading.Event()

    def step_and_sleep(worker: MetalWorker) -> None:
        step(worker)
        if worker._leases.running and not slept.is_set():
            slept.set()
            with writing(store.engine) as turn:
                fall_silent(turn, store.engine)

    monkeypatch.setattr(MetalWorker, "_step", step_and_sleep)
    service.run(settings, burst=True)
    rows = [store.job(job.id) for job in jobs]
    assert {(row.status, row.deaths) for row in rows} == {(JobStatus.SUCCEEDED, 0)}
    assert any(row.attempts > 1 for row in rows)
    assert_nothing_is_left(connection)


def loads_of(log: pytest.LogCaptureFixture) -> list[str]:
    """Record the models that are loaded, in order."""
    said = [record.getMessage() for record in log.records]
    return [words.split()[1].rstrip(":") for words in said if words.startswith("Loaded ")]


def test_models_that_alternate_in_a_lane_are_loaded_once_each(
    settings: Settings,
    store: Store,
    connection: Redis,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty jobs in turn: those of the running model go first, and each job gets its own right answer."""
    # However slow the machine is, no held job becomes overdue.
    monkeypatch.setitem(MAX_WAIT, Lane.BULK, 3600.0)
    captions = save_scenes(tmp_path, 20)
    asked = dict(texts.TALK[:10])
    jobs: list[Job] = []
    expected: dict[str, str] = {}
    for number, path in enumerate(captions):
        request = Request.about_image(
            path, model="demo", prompt="Describe this image.", sampling=Sampling(max_tokens=64)
        )
        jobs.append(Job(model="demo", request=request.model_dump_json(), digest=request.digest, source=path.as_uri()))
        store.add(jobs[-1:])
        expected[jobs[-1].id] = captions[path]
        question = list(asked)[number % len(asked)]
        jobs.append(add_text_job(store, question))
        expected[jobs[-1].id] = asked[question]
    push(connection, Lane.BULK, [job.id for job in jobs])
    with caplog.at_level("INFO", logger="captionq"):
        service.run(settings, burst=True)
    assert loads_of(caplog) == ["demo", "demo-text"]
    assert {job.id: store.job(job.id).text for job in jobs} == expected
    assert {store.job(job.id).status for job in jobs} == {JobStatus.SUCCEEDED}
    assert_nothing_is_left(connection)


def test_whoever_watches_a_job_learns_that_its_model_is_loaded(
    settings: Settings, store: Store, connection: Redis
) -> None:
    """The first job of a model publishes the loading; the next job finds the model loaded."""
    jobs = [add_text_job(store, "Hello!"), add_text_job(store, "Hello!")]
    push(connection, Lane.BULK, [job.id for job in jobs])
    service.run(settings, burst=True)
    first, second = read(connection, jobs[0].id), read(connection, jobs[1].id)
    assert [event.name for event in first] == ["loading", "loaded"]
    assert first[0].data == {"model": "demo-text", "attempt": 1}
    assert first[1].data["seconds"] > 0
    assert second == []
    assert read(connection, jobs[0].id, first[0].id) == first[1:]
    assert read(connection, jobs[0].id, first[1].id, wait=0.01) == []


def test_a_job_that_breaks_every_worker_is_given_up(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deaths are counted as for a killed process, so the job is isolated, and its neighbour is answered."""
    culprit, neighbour = add_text_job(store, "Hello"), add_text_job(store, "Count to ten.")
    begin = Pipeline.begin

    def broken() -> list[Outcome]:
        raise RuntimeError("nobody thought of it")

    def begun(pipeline: Pipeline, key: str, *args: Any, **options: Any) -> None:
        begin(pipeline, key, *args, **options)
        if key == culprit.id:
            monkeypatch.setattr(pipeline, "step", broken)

    monkeypatch.setattr(Pipeline, "begin", begun)
    push(connection, Lane.BULK, [culprit.id, neighbour.id])
    for died in range(3):
        with pytest.raises(WorkerError, match="nobody thought of it"):
            service.run(settings, burst=True)
        assert (store.job(culprit.id).status, store.job(culprit.id).deaths) == (JobStatus.RUNNING, died)
    service.run(settings, burst=True)
    assert (store.job(culprit.id).status, store.job(culprit.id).error_code) == (JobStatus.FAILED, "poison")
    assert store.job(neighbour.id).status == JobStatus.SUCCEEDED
    assert_nothing_is_left(connection)


def test_a_job_for_another_model_is_not_held_for_ever(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the held job is overdue, the batch drains for it although more jobs of the running model wait."""
    monkeypatch.setitem(MAX_WAIT, Lane.BULK, 0.0)
    _, captions = queue_scenes(tmp_path / "first", 8, store, connection)
    other = add_text_job(store, "Hello!")
    push(connection, Lane.BULK, [other.id])
    later, _ = queue_scenes(tmp_path / "later", 24, store, connection)
    service.run(settings, burst=True)
    finished = store.job(other.id).finished_at or 0
    assert len(captions) == 8
    assert max(row.finished_at or 0 for row in store.jobs(batch_id=later.id, limit=100)) > finished


def test_models_under_a_budget_stay_and_make_room(settings: Settings, tmp_path: Path) -> None:
    """Without a budget a model is unloaded when the next one comes; pinned models stay; memory is given back."""
    one = ResidentModels(settings)
    one.get("demo")
    held = mx.get_active_memory()
    one.get("demo-text")
    assert list(one._residents) == ["demo-text"]
    assert mx.get_active_memory() < held - 1_000_000
    one.close()
    # The weights of the built-in models are wider without a GPU.
    room = 1.5 * ResidentModels(settings).get("demo").bytes / 1e6
    both = ResidentModels(settings.model_copy(update={"memory_budget": f"{room:.1f}MB"}))
    assert both.get("demo") is both.get("demo")
    both.get("demo-text")
    assert list(both._residents) == ["demo", "demo-text"]
    folder = tmp_path / "third"
    shutil.copytree(built_in_models()["demo"], folder)
    both.get(str(folder))
    assert list(both._residents) == ["demo-text", str(folder)]
    both.close()
    pinned = ResidentModels(settings.model_copy(update={"pinned_models": ("demo",)}))
    for name in ("demo", "demo-text", str(folder)):
        pinned.get(name)
    assert list(pinned._residents) == ["demo", str(folder)]
    pinned.close()


def test_a_model_that_cannot_be_run_is_not_loaded_again_for_every_job(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are sound and the check refuses the model: a folder of jobs would load it a thousand times."""
    loads = 0

    def load_and_count(name: str) -> LoadedModel:
        nonlocal loads
        loads += 1
        loaded = load(name)
        loaded.model.language_model.make_cache = lambda: 1 / 0
        return loaded

    monkeypatch.setattr("worker.pipeline.resident_models.load", load_and_count)
    residency = ResidentModels(settings)
    for _ in range(3):
        with pytest.raises(ModelError, match="'demo' could not be loaded: ZeroDivisionError") as caught:
            residency.get("demo")
        assert not caught.value.transient
    assert loads == 1
    assert list(residency._residents) == []


def test_a_model_that_is_larger_than_its_budget_is_refused_with_both_numbers(settings: Settings) -> None:
    """The model's jobs fail, and nothing is loaded."""
    small = ResidentModels(settings.model_copy(update={"memory_budget": "1MB"}))
    with pytest.raises(ModelTooLargeError, match=r"0\.0 GB"):
        small.get("demo")
    assert list(small._residents) == []


@pytest.mark.parametrize(
    ("budget", "expected"), [("60%", 600), ("0.6", 600), ("24GB", 24_000_000_000), ("1.5 mb", 1_500_000), (None, None)]
)
def test_a_memory_budget_is_a_share_or_an_amount(budget: str | None, expected: int | None, tmp_path: Path) -> None:
    """The budget of a device of a thousand bytes."""
    assert Settings(data_dir=tmp_path, memory_budget=budget).memory_bytes(1000) == expected
