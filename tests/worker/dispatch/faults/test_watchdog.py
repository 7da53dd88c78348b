"""Steps of the engine that do not end, in a worker process of their own, and a process that is stopped for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.worker_state import live_workers
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import until
from tests.worker.dispatch.faults.conftest import QueueTexts
from worker import service
from worker.dispatch.faults import watchdog

pytestmark = pytest.mark.timeout(300)

#: A worker whose steps wait for a file. The watchdog looks ten times a second, and ends a step after half a second.
_WORKER = """
import sys, time
from pathlib import Path
from jobs.configuration.read_settings import read_settings
from worker import service
from worker.dispatch import job_events
from worker.dispatch.faults import watchdog
from worker.pipeline.stub_pipeline import StubPipeline

begun, go = map(Path, sys.argv[1:])
step = StubPipeline.step

def slow_step(self):
    if self._requests:
        begun.touch()
        while not go.exists():
            time.sleep(0.01)
    return step(self)

StubPipeline.step = slow_step
watchdog.TICK = job_events.PULSE_AFTER = 0.1
service.run(read_settings(), burst=True)
"""


def start_worker(settings: Settings, stall: float, tmp_path: Path) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """Start a worker of the stub. Returns also the file that its first step makes, and the file that ends its steps."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    environment = {
        **os.environ,
        "CAPTIONQ_DATA_DIR": str(settings.data_dir),
        "CAPTIONQ_MODEL": "stub",
        "CAPTIONQ_STALL": str(stall),
    }
    process = subprocess.Popen([sys.executable, "-c", _WORKER, str(begun), str(go)], env=environment)
    until(begun.exists, "the first step")
    return process, begun, go


def test_a_step_that_does_not_end_ends_the_worker_with_its_stacks(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """The log names the place; the jobs are charged with a death, and the next worker runs them."""
    jobs = queue_texts(tmp_path / "pictures", 3)
    process, _, _ = start_worker(stub, 0.5, tmp_path)
    assert process.wait(60) == watchdog.EXIT_STATUS
    log = (stub.log_dir / "worker.log").read_text()
    assert "The engine has made no step for" in log
    assert "in slow_step" in log
    assert "in _watch" in log
    connection.flushall()
    service.run(stub, burst=True)
    rows = store.those([job.id for job in jobs])
    assert {(row.status, row.deaths) for row in rows} == {(JobStatus.SUCCEEDED, 1)}
    assert all(path_of(row.output or "").exists() for row in rows)


def test_a_process_that_is_stopped_for_longer_is_not_ended(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """The lid was closed in the middle of a step. The worker says how long its step takes, and does not count the sleep."""
    jobs = queue_texts(tmp_path / "pictures", 3)
    process, _, go = start_worker(stub, 2.5, tmp_path)
    until(lambda: any(0 < state.step_seconds < 2.5 for state in live_workers(connection)), "the worker's word")
    process.send_signal(signal.SIGSTOP)
    time.sleep(3.0)
    go.touch()
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    assert {(row.status, row.deaths) for row in store.those([job.id for job in jobs])} == {(JobStatus.SUCCEEDED, 0)}
