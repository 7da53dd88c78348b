"""What `captionq doctor` says about a worker that is stopped, stands still or waits."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from redis import Redis

from cli.runs.processes.worker_health import worker_health
from jobs.configuration.settings import Settings
from jobs.errors import WorkerError
from jobs.queue.worker_state import WorkerState, publish_state
from worker.lock import worker_lock
from worker.worker_name import worker_name


def test_each_state_of_a_worker_has_its_sentence(settings: Settings, connection: Redis) -> None:
    """A worker that starts is given a minute; one that is silent, stands still or waits is a fault with a way out."""
    assert worker_health(settings).startswith("not running")
    with worker_lock(settings):
        assert worker_health(settings) == f"starting (PID {os.getpid()})"
        old = time.time() - 100
        os.utime(settings.worker_lock, (old, old))
        with pytest.raises(WorkerError, match=rf"no sign of life for 15 s.*kill -9 {os.getpid()}"):
            worker_health(settings)
        name = worker_name(settings)
        connection.sadd("rq:workers", f"rq:worker:{name}")
        state = WorkerState(name, time.time())
        publish_state(connection, state)
        assert worker_health(settings) == "running"
        publish_state(connection, replace(state, bulk_wait="until 22:00 (CAPTIONQ_HOURS)"))
        assert worker_health(settings) == "running; bulk work waits until 22:00 (CAPTIONQ_HOURS)"
        publish_state(connection, replace(state, step_seconds=75.0))
        with pytest.raises(WorkerError, match=r"no step for 75 s.*CAPTIONQ_STALL \(300 s\)"):
            worker_health(settings)
        publish_state(connection, replace(state, fault_code="disk_full", fault="The disk is full."))
        with pytest.raises(WorkerError, match=r"The disk is full\. The worker waits"):
            worker_health(settings)
