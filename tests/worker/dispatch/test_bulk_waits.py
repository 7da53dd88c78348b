"""A worker that takes no bulk jobs for a while: urgent jobs are answered, and bulk jobs lose nothing, neither their order."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.queue.lanes import lanes, push
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.store.store import Store
from jobs.store.tables import JobStatus, Lane
from tests.support.rows import make_job
from tests.worker.dispatch.conditions.test_bulk_conditions import hours_without_now
from tests.worker.dispatch.test_turns import add_run
from worker import service
from worker.dispatch.conditions import battery as battery_of_machine
from worker.dispatch.conditions import bulk_conditions
from worker.engine.sequences import Outcome
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

pytestmark = pytest.mark.timeout(300)


def waiting(connection: Redis) -> list[str]:
    """Return the ids in the bulk lane."""
    found: list[str] = lanes(connection)[1].get_job_ids()
    return found


def test_outside_of_the_hours_only_urgent_jobs_run(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bulk lane stays as it was, no id is held, and the worker's state names the reason and its end."""
    stub = settings.model_copy(update={"model": "stub", "hours": hours_without_now()})
    run = add_run(store, 20)
    feed(store, connection)
    before = waiting(connection)
    urgent = make_job("urgent")
    urgent.lane, urgent.output, urgent.model = Lane.INTERACTIVE, None, "stub"
    urgent.request = urgent.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
    store.add([urgent])
    push(connection, Lane.INTERACTIVE, [urgent.id])
    states: list[WorkerState] = []
    step = StubPipeline.step

    def step_when_told(pipeline: StubPipeline) -> list[Outcome]:
        states[:] = live_workers(connection)
        return step(pipeline) if states and states[0].bulk_wait else []

    monkeypatch.setattr(StubPipeline, "step", step_when_told)
    service.run(stub, burst=True)
    assert store.job(urgent.id).status == JobStatus.SUCCEEDED
    assert store.counts(run.id)[JobStatus.QUEUED] == 20
    assert waiting(connection) == before
    assert before
    assert lanes(connection, worker_name(stub))[1].taken_ids() == []
    [state] = states
    assert state.bulk_wait_codes == ["outside_hours"]
    assert state.bulk_wait_until is not None
    assert state.status_words.startswith("busy; bulk waits until ")
    assert state.as_public(str)["bulk_wait"] == state.bulk_wait
    monkeypatch.setattr(StubPipeline, "step", step)
    service.run(settings.model_copy(update={"model": "stub"}), burst=True)
    assert store.counts(run.id)[JobStatus.SUCCEEDED] == 20


def test_bulk_jobs_that_run_when_the_battery_gets_low_are_finished(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Jobs that had not begun wait in their lane, in their order, also those that were held for another model's turn."""
    battery = tmp_path / "BAT0"
    battery.mkdir()
    for attribute, value in {"type": "Battery", "capacity": "39", "status": "Full"}.items():
        (battery / attribute).write_text(value)
    monkeypatch.setattr(bulk_conditions, "READ_EVERY", 0.0)
    monkeypatch.setattr(battery_of_machine, "POWER_SUPPLIES", tmp_path)
    stub = settings.model_copy(update={"model": "stub", "slots": 8, "battery": 40})
    run = add_run(store, 40, models=("stub", "other"))
    feed(store, connection)
    step = StubPipeline.step
    seen: list[tuple[int, list[str], list[str]]] = []

    def step_and_pull_the_plug(pipeline: StubPipeline) -> list[Outcome]:
        if not pipeline.in_flight or seen:
            return step(pipeline)
        (battery / "status").write_text("Discharging")
        waits = [state for state in live_workers(connection) if state.bulk_wait]
        if not waits:
            return []
        # The jobs that run now end; no others begin, and none are held.
        assert lanes(connection, waits[0].name)[1].taken_ids() == []
        queued = [job.id for job in store.jobs(batch_id=run.id) if job.status == JobStatus.QUEUED]
        seen.append((pipeline.in_flight, waiting(connection), queued))
        return step(pipeline)

    monkeypatch.setattr(StubPipeline, "step", step_and_pull_the_plug)
    service.run(stub, burst=True)
    [(running, lane, queued)] = seen
    assert lane == queued
    assert store.counts(run.id)[JobStatus.SUCCEEDED] == running
    assert store.counts(run.id)[JobStatus.QUEUED] == 40 - running
    assert waiting(connection) == queued
    (battery / "status").write_text("Charging")
    service.run(stub, burst=True)
    assert store.counts(run.id)[JobStatus.SUCCEEDED] == 40
