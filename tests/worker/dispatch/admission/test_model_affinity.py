"""Models across hosts: jobs go to workers that have their model, and no worker holds ids of other models."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import LaneQueue, lanes, push, take
from jobs.queue.worker_state import WorkerState, publish_state, withdraw_state
from jobs.store.queries.job_queries import JobSummary
from jobs.store.tables import JobStatus, Lane
from tests.support.rows import make_job
from worker.dispatch.admission import model_affinity
from worker.dispatch.admission.model_affinity import ModelAffinity
from worker.dispatch.admission.model_turns import HeldJob
from worker.dispatch.queue_worker import QueueWorker
from worker.pipeline.stub_pipeline import StubPipeline

FOREVER = 1e9


@dataclass
class Host:
    """A worker's part that decides about models, with its pipeline and its lanes."""

    name: str
    pipeline: StubPipeline
    queues: list[LaneQueue]
    affinity: ModelAffinity
    connection: Redis

    def publish(self, bulk_wait: str = "") -> None:
        models = list(self.pipeline.models)
        state = WorkerState(self.name, at=0.0, model=self.pipeline.model, models=models, bulk_wait=bulk_wait)
        publish_state(self.connection, state, 60)

    def run(self, model: str) -> None:
        """Load a model, and begin a job of it."""
        self.pipeline.load(model)
        self.pipeline.begin("running", make_job().parsed_request())
        self.publish()

    def take(self, count: int = 8) -> list[str]:
        """Take ids, and return those that are kept. The name of a job tells its model."""
        taken = [
            HeldJob(entry, queue, JobSummary(entry.id, JobStatus.QUEUED, entry.id.partition("-")[0], 0))
            for entry, queue in take(self.connection, self.queues, count)
            if isinstance(queue, LaneQueue)
        ]
        return [one.entry.id for one in self.affinity.kept(taken)]


@pytest.fixture
def hosts(settings: Settings, connection: Redis) -> tuple[Host, Host]:
    """Two live workers without a model."""
    made: list[Host] = []
    for name in ("one", "two"):
        QueueWorker(name, connection).register_birth()  # type: ignore[no-untyped-call]
        pipeline, queues = StubPipeline(settings), lanes(connection, name)
        affinity = ModelAffinity(connection, pipeline, queues, name, "default")
        made.append(Host(name, pipeline, queues, affinity, connection))
        made[-1].publish()
    return made[0], made[1]


def set_patience(monkeypatch: pytest.MonkeyPatch, *, busy: float, idle: float) -> None:
    """Set how long jobs are left alone."""
    monkeypatch.setattr(model_affinity, "MAX_WAIT", dict.fromkeys(Lane, busy))
    monkeypatch.setattr(model_affinity, "AFFINITY", dict.fromkeys(Lane, idle))


def ids(*names: str) -> list[str]:
    return [f"{name}-{number}" for number, name in enumerate(names)]


def waiting(host: Host) -> list[str]:
    found: list[str] = host.queues[1].get_job_ids()
    return found


def test_a_busy_worker_holds_no_ids_of_another_model(hosts: tuple[Host, Host], connection: Redis) -> None:
    """It takes its own from behind them. The others keep their order, for the worker that has their model."""
    one, two = hosts
    queued = ids("b", "b", "a", "b", "a", *["b"] * 200, "a")
    push(connection, Lane.BULK, queued)
    one.run("a")
    two.run("b")
    one.affinity.review()
    own = [kept for _ in range(40) for kept in one.take()]
    assert own == [one for one in queued if one.startswith("a")]
    assert one.queues[1].taken_ids() == own
    assert waiting(one) == [one for one in queued if one.startswith("b")]
    two.affinity.review()
    assert two.take() == [one for one in queued if one.startswith("b")][:8]


def test_a_worker_without_others_holds_them_as_before(hosts: tuple[Host, Host], connection: Redis) -> None:
    """There is no one to leave them to. When the last other worker goes, left ids are taken, too."""
    one, _ = hosts
    push(connection, Lane.BULK, ids("b", "b"))
    one.run("a")
    one.affinity.review()
    assert one.take() == []
    withdraw_state(connection, "two")
    one.affinity.review()
    assert one.take() == ids("b", "b")


def test_a_model_that_another_worker_serves_is_left_to_it_while_there_is_own_work(
    hosts: tuple[Host, Host], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its jobs have waited. A worker that is idle takes them after a while."""
    one, two = hosts
    set_patience(monkeypatch, busy=0.0, idle=0.0)
    push(connection, Lane.BULK, ids("b"))
    one.run("a")
    two.run("b")
    one.affinity.review()
    assert one.take() == []
    one.affinity.review()
    assert not one.affinity.drains
    one.pipeline.clear()
    set_patience(monkeypatch, busy=0.0, idle=FOREVER)
    assert one.take() == []
    one.affinity.review()
    assert one.take() == []
    set_patience(monkeypatch, busy=0.0, idle=0.0)
    one.affinity.review()
    assert one.take() == ids("b")


def test_bulk_jobs_are_not_left_to_a_worker_that_takes_none(
    hosts: tuple[Host, Host], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one outside of its hours. It takes no turn for bulk jobs that it left before, and so keeps none from others."""
    one, two = hosts
    set_patience(monkeypatch, busy=0.0, idle=0.0)
    push(connection, Lane.BULK, ids("b"))
    one.run("a")
    two.run("b")
    two.publish(bulk_wait="until 22:00 (CAPTIONQ_HOURS)")
    one.affinity.review()
    assert one.take() == []
    one.queues[1].closed = True
    one.affinity.review()
    assert not one.affinity.drains
    one.queues[1].closed = False
    assert one.take() == []
    one.affinity.review()
    assert one.affinity.drains
    one.pipeline.clear()
    assert one.take() == ids("b")


def test_only_one_worker_takes_the_turn_of_a_model_that_waited_too_long(
    hosts: tuple[Host, Host], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch drains, and then it takes that model's jobs only. The turn is over when the worker serves the model."""
    one, two = hosts
    set_patience(monkeypatch, busy=0.0, idle=FOREVER)
    queued = ids("b", "a", "b", "c")
    push(connection, Lane.BULK, queued[:1])
    for host in hosts:
        host.run("a")
        host.affinity.review()
        assert host.take() == []
    for host in hosts:
        host.affinity.review()
    assert (one.affinity.drains, two.affinity.drains) == (True, False)
    push(connection, Lane.BULK, queued[1:])
    one.pipeline.clear()
    assert not one.affinity.drains
    assert one.take() == [queued[0], queued[2]]
    set_patience(monkeypatch, busy=FOREVER, idle=FOREVER)
    one.run("b")
    one.affinity.review()
    assert connection.hgetall("captionq:turns") == {}
    two.affinity.review()
    assert two.take() == [queued[1]]


def test_the_turn_of_a_worker_that_died_goes_to_another(
    hosts: tuple[Host, Host], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for a dead worker."""
    one, two = hosts
    set_patience(monkeypatch, busy=0.0, idle=FOREVER)
    push(connection, Lane.BULK, ids("b"))
    for host in hosts:
        host.run("a")
        host.affinity.review()
        assert host.take() == []
        host.affinity.review()
    assert one.affinity.drains
    withdraw_state(connection, "one")
    QueueWorker("three", connection).register_birth()  # type: ignore[no-untyped-call]
    publish_state(connection, WorkerState("three", at=0.0), 60)
    two.affinity.review()
    assert two.affinity.drains


def test_a_turn_ends_when_others_have_taken_its_jobs(
    hosts: tuple[Host, Host], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker goes on with its own model."""
    one, _ = hosts
    set_patience(monkeypatch, busy=0.0, idle=FOREVER)
    push(connection, Lane.BULK, ids("b"))
    one.run("a")
    one.affinity.review()
    assert one.take() == []
    one.affinity.review()
    one.pipeline.clear()
    take(connection, lanes(connection, "two"), 8)
    one.affinity.review()
    push(connection, Lane.BULK, ["a-9"])
    assert one.take() == ["a-9"]
    assert connection.hgetall("captionq:turns") == {}


def test_a_worker_without_a_model_takes_its_default_model_and_leaves_another_to_who_has_it(
    hosts: tuple[Host, Host], connection: Redis
) -> None:
    """Its default model needs no turn: it would load that one in any case."""
    one, two = hosts
    push(connection, Lane.BULK, ids("b", "default", "b"))
    two.run("b")
    one.affinity.review()
    assert one.take() == ["default-1"]
