"""Broker and worker, kept running during a run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from cli.runs.processes import services as services_module
from cli.runs.processes import worker_restarts
from cli.runs.processes.services import Services
from jobs.configuration.settings import Settings
from jobs.errors import BrokerAccessError
from jobs.file_locks import exclusive
from jobs.net import broker_address, broker_retry
from jobs.queue import broker
from jobs.store.connection import is_being_opened
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.brokers import WRITE_FAULTS, Valkey, suspended, valkey
from tests.support.processes import Captionq, until
from tests.support.rows import make_job
from worker.lock import is_running, worker_lock
from worker.worker_name import worker_name


@pytest.fixture
def running(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Services that are checked at every call."""
    monkeypatch.setattr(services_module, "CHECK_EVERY", 0.0)
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    running = Services(settings)
    yield running
    running.stop()


def test_a_worker_that_another_command_started_meanwhile_is_used(running: Services, settings: Settings) -> None:
    """The run's own worker has died, and another process has the lock: a new start would be in vain."""
    running.ensure()
    until(lambda: is_running(settings) and bool(settings.worker_lock.read_text()), "the worker")
    os.kill(Captionq(settings).worker_pid(), signal.SIGKILL)
    until(lambda: not is_running(settings), "its end")
    with worker_lock(settings):
        for _ in range(worker_restarts.MAX_STARTS + 1):
            running.ensure()
        assert not running.own_worker
        assert not [one for one in Captionq(settings).processes() if "work" in one.info["cmdline"]]


def test_the_broker_is_kept_running_while_the_worker_rests(running: Services, settings: Settings) -> None:
    """A worker that kept dying is not started for a while; a broker that died is."""
    running.rest(3600)
    os.kill(running.connection.info("server")["process_id"], signal.SIGKILL)
    until(lambda: not Captionq(settings).broker_answers(), "the broker's end")
    running.ensure()
    assert running.connection.ping()
    assert not is_running(settings)


def test_a_worker_that_does_not_end_is_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill is waited for, and the broker ends afterwards."""
    monkeypatch.setattr(worker_restarts, "STOP_SECONDS", 0.01)
    running = Services(settings, with_worker=False)
    worker = running._worker._process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE)
    running.stop()
    assert worker.returncode == -signal.SIGKILL


def freeze(pid: int, settings: Settings) -> None:
    """Stop the process at a moment at which it is not opening the database."""

    def is_frozen() -> bool:
        os.kill(pid, signal.SIGSTOP)
        # The signal only asks: a system call in which the process takes the lock comes to its end first.
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "the signal")
        if is_being_opened(settings):
            os.kill(pid, signal.SIGCONT)
            return False
        return True

    until(is_frozen, "the worker to stand still")


def test_a_worker_that_is_killed_while_it_opens_the_database_holds_nobody_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock for as long as it lives, so its run must not wait for it."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    monkeypatch.setattr(worker_restarts, "STOP_SECONDS", 0.01)
    worker = worker_restarts.WorkerProcess(settings, [])
    with exclusive(settings.data_dir / "migration.lock"):
        worker.start()
        worker.stop()
    assert not worker.is_running


def test_a_worker_that_its_run_kills_counts_no_death(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen worker is killed by its own run: its jobs are queued again, and are not suspected of the worker's end."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    monkeypatch.setattr(worker_restarts, "STOP_SECONDS", 0.01)
    worker = worker_restarts.WorkerProcess(settings, [])
    worker.start()
    until(lambda: is_running(settings) and bool(settings.worker_lock.read_text()), "the worker")
    # A worker that is killed while it opens the database has no jobs, and may hold its lock.
    database = settings.data_dir / "captionq.db"
    until(lambda: database.exists() and not is_being_opened(settings), "the worker's database")
    with closing(Store(settings)) as store:
        freeze(Captionq(settings).worker_pid(), settings)
        job = make_job()
        store.add([job])
        assert store.claim([job.id], worker_name(settings))
        worker.stop()
        left = store.job(job.id)
        assert (left.status, left.deaths, left.worker) == (JobStatus.QUEUED, 0, None)
    assert not is_running(settings)
    assert broker.find(settings) is None


@pytest.fixture
def waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Services, Valkey]]:
    """Services without a worker, with a configured server, that wait 1.5 s for each answer."""
    monkeypatch.setattr(services_module, "CHECK_EVERY", 0.0)
    for module in (broker_address, broker_retry):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.5)
    with valkey(tmp_path) as server:
        running = Services(settings.model_copy(update={"redis_url": server.url}), with_worker=False)
        yield running, server
        running.stop()


def ensured(running: Services) -> bool:
    """Check the services once more."""
    running.ensure()
    return True


def test_a_run_says_once_what_it_waits_for(waiting: tuple[Services, Valkey], caplog: pytest.LogCaptureFixture) -> None:
    """A configured server is not started again: a run waits until it accepts entries, whatever keeps it from that."""
    running, server = waiting

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "captionq.broker"]

    faults = [server.frozen(), *(fault(server) for fault, _ in WRITE_FAULTS)]
    for number, fault in enumerate(faults, start=1):
        with fault:
            running.ensure()
            running.ensure()
        assert len(said()) == 2 * number - 1
        until(lambda: ensured(running) and said()[-1] == "The broker answers again.", "the broker")
    words = ("does not answer", "no memory left", "read-only replica", "save to its disk")
    assert all(one in message for one, message in zip(words, said()[::2], strict=True))


def test_a_run_ends_when_waiting_does_not_help(waiting: tuple[Services, Valkey]) -> None:
    """A password that was changed meanwhile stays refused."""
    running, server = waiting
    server.connection.config_set("requirepass", "a-new-password")
    running.connection.connection_pool.disconnect()
    with pytest.raises(BrokerAccessError, match="asks for a password"):
        running.ensure()


def test_a_run_waits_for_its_own_server_and_names_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A suspended server is not replaced: it has the entries. When it is killed, the run starts another."""
    monkeypatch.setattr(services_module, "CHECK_EVERY", 0.0)
    for module in (broker_address, broker_retry):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.5)
    monkeypatch.setattr(worker_restarts, "MAX_STARTS", 0)
    running = Services(settings)
    pid = running.connection.info("server")["process_id"]
    with suspended(pid):
        # Without its broker a worker would die again and again.
        running.ensure()
        running.rest(3600)
        assert f"Its PID is {pid}." in caplog.messages[-1]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(pid), "its end")
        until(lambda: ensured(running) and not running.is_away, "another server")
    running.stop()
