"""Models that leave memory when there are no jobs, and come back with the next one."""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.queue.worker_state import live_workers
from jobs.queue.workers.draining import drain
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import until
from tests.support.scenes import save_scenes
from tests.worker.dispatch.test_turns import add_run
from worker import service
from worker.dispatch.metal_worker import MetalWorker
from worker.pipeline.keep_alive import KeepAlive
from worker.pipeline.pipeline import Pipeline
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time, which the test sets."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_a_model_leaves_after_its_time_without_jobs(settings: Settings, clock: list[float]) -> None:
    """A job in between begins the time anew. The end is told in advance, and only while there is one."""
    pipeline = StubPipeline(settings)
    keep = KeepAlive(pipeline, 60.0, ())
    keep.look(idle=True)
    assert keep.unloads_at is None
    pipeline.load("stub")
    keep.look(idle=True)
    assert keep.unloads_at == pytest.approx(time.time() + 60, abs=2)
    clock[0] += 59
    keep.look(idle=True)
    keep.look(idle=False)
    assert keep.unloads_at is None
    clock[0] += 59
    keep.look(idle=True)
    clock[0] += 59
    keep.look(idle=True)
    assert pipeline.model == "stub"
    clock[0] += 1
    keep.look(idle=True)
    assert pipeline.model is None
    assert keep.unloads_at is None


def noting(calls: list[str], name: str, change: Callable[..., None]) -> Callable[..., None]:
    """Return the method, which now notes its calls."""

    def noted(*given: object) -> None:
        calls.append(name)
        change(*given)

    return noted


@pytest.mark.parametrize(("seconds", "pinned"), [(math.inf, ()), (0.0, ("stub",))])
def test_models_stay_for_ever_or_because_they_are_pinned(
    settings: Settings, clock: list[float], seconds: float, pinned: tuple[str, ...]
) -> None:
    """No end is told."""
    pipeline = StubPipeline(settings)
    pipeline.load("stub")
    keep = KeepAlive(pipeline, seconds, pinned)
    for _ in range(2):
        keep.look(idle=True)
        clock[0] += 1e6
    assert (pipeline.model, keep.unloads_at) == ("stub", None)


def answer_with_demo(pipeline: Pipeline, request: Request) -> list[str]:
    """Load the built-in model, and return the texts of the request's answers."""
    pipeline.load("demo")
    pipeline.begin("one", request)
    outcomes = []
    while pipeline.in_flight:
        outcomes += pipeline.step()
    return [one.answer.text for one in outcomes]


@pytest.mark.usefixtures("known_models")
def test_the_memory_of_a_model_is_given_back(settings: Settings, tmp_path: Path) -> None:
    """Nothing holds the model's weights or caches any more, and the next request loads it again. A pinned model stays loaded."""
    [(picture, caption)] = save_scenes(tmp_path, 1).items()
    request = Request.about_image(picture, model="demo", prompt="Describe this image.", sampling=Sampling())
    pipeline = Pipeline(settings)
    # The libraries make some constants at their first use, and keep them.
    answer_with_demo(pipeline, request)
    pipeline.unload()
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    for _ in range(2):
        assert answer_with_demo(pipeline, request) == [caption]
        model = weakref.ref(pipeline._residency._residents["demo"].engine.backend.language_model)
        assert mx.get_active_memory() > before + 500_000
        pipeline.unload()
        assert (pipeline.model, list(pipeline.models), model()) == (None, [], None)
        assert mx.get_active_memory() <= before
        assert mx.get_cache_memory() == 0
    pipeline.close()
    pinning = Pipeline(settings.model_copy(update={"pinned_models": ("demo",)}))
    pinning.load("demo")
    pinning.unload()
    assert (pinning.model, list(pinning.models)) == ("demo", ["demo"])
    pinning.close()


def test_the_next_job_brings_the_model_back(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's state shows both."""
    stub = settings.model_copy(update={"model": "stub", "keep_alive": "0"})
    monkeypatch.setattr(MetalWorker, "_install_signal_handlers", lambda _worker: None)
    loads: list[str] = []
    for name in ("load", "unload"):
        change = getattr(StubPipeline, name)
        monkeypatch.setattr(StubPipeline, name, noting(loads, name, change))
    thread = threading.Thread(target=lambda: service.run(stub))
    thread.start()
    for number in (1, 2):
        run = add_run(store, 2)
        feed(store, connection)
        until(lambda run=run: store.counts(run.id)[JobStatus.SUCCEEDED] == 2, "the jobs")  # type: ignore[misc]
        until(lambda number=number: loads == ["load", "unload"] * number, "the end of the model")  # type: ignore[misc]
        until(lambda: [one.models for one in live_workers(connection)] == [[]], "the state")
    drain(connection, worker_name(stub))
    thread.join(60)
