"""Commands that are told to stop, also by a terminal that closes: they end in order, and nothing of them stays behind."""

from __future__ import annotations

import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from cli.exit_status import INTERRUPTED
from jobs.configuration.settings import Settings
from jobs.queue.broker_socket import socket_path
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import PATIENCE, Captionq, until
from tests.support.scenes import save_scenes
from tests.support.serving import hello, serving
from tests.support.terminals import in_terminal

pytestmark = pytest.mark.timeout(300)

#: Files of the data folder that stay: the record, the queue's file, logs, and files that only carry locks.
STAYING = re.compile(
    r"captionq\.db|broker/(appendonlydir/.*|(owner|server|start|users)\.lock)|logs/.*|runs/maker(\.guard)?|"
    r"(migration|worker)\.lock|worker\.name|verdicts\.json"
)


def assert_nothing_is_left(captionq: Captionq) -> None:
    """Assert that no process, socket, run's lock, log of the database or unfinished file is left when the command has ended."""
    assert captionq.processes() == []
    assert not captionq.broker_answers()
    assert not socket_path(captionq.settings).exists()
    folder = captionq.settings.data_dir
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()]
    assert [name for name in files if not STAYING.fullmatch(name)] == []


def test_a_run_puts_its_jobs_back(captionq: Captionq, tmp_path: Path) -> None:
    """As after Ctrl-C: no job counts a death, no half-written text lies among the pictures, and the next worker goes on."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 40)
    captionq.environment["CAPTIONQ_SLOTS"] = "2"
    with in_terminal(captionq, "caption", folder) as terminal:
        terminal.wait_for(lambda shown: re.search(r"[1-9]\d*/40", shown) is not None)
        terminal.close()
        assert terminal.exit_status() == INTERRUPTED
        assert_nothing_is_left(captionq)
    with closing(Store(captionq.settings)) as store:
        rows = store.jobs()
    assert {row.status for row in rows} == {JobStatus.QUEUED, JobStatus.SUCCEEDED}
    assert {row.deaths for row in rows} == {0}
    written = {path.with_suffix(".png"): path.read_text().strip() for path in folder.glob("*.txt")}
    assert written.items() <= captions.items()
    assert {path.suffix for path in folder.iterdir()} == {".png", ".txt"}


def test_a_server_stops_its_worker_and_its_broker(captionq: Captionq) -> None:
    """The status is that of an orderly end."""
    with in_terminal(captionq, "serve", "--port", "0") as terminal:
        terminal.wait_for(lambda shown: "serves at" in shown)
        until(lambda: "waits for jobs" in log_of(captionq, "worker.log"), "the worker")
        terminal.close()
        assert terminal.exit_status() == 0
        assert_nothing_is_left(captionq)
    assert "Traceback" not in log_of(captionq, "serve.log") + log_of(captionq, "worker.log")


def test_a_second_signal_ends_answers_that_a_server_waits_for(settings: Settings) -> None:
    """The first one gives them their grace, an hour here. A terminal that closes meanwhile changes nothing."""
    patient = {"CAPTIONQ_GRACE": "3600"}
    with serving(settings, "--no-worker", ready=False, **patient) as served, ThreadPoolExecutor(1) as threads:
        with served.broker() as connection:
            # A worker that does nothing.
            connection.sadd("rq:workers", "rq:worker:idle")
            publish_state(connection, WorkerState(name="idle", at=1.0), 3600)
        asking = threads.submit(httpx2.post, f"{served.url}/v1/chat/completions", json=hello(), timeout=PATIENCE)
        until(lambda: "captionq_streams 1.0" in served.client.get("/metrics").text, "the request")
        served.client.close()
        for number in (signal.SIGTERM, signal.SIGHUP):
            served.process.send_signal(number)
            until(lambda: "Stopping; answers" in served.log_text(), "the first signal")
        with pytest.raises(subprocess.TimeoutExpired):
            served.process.wait(1)
        assert served.stop() == 0
        answer = asking.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_stopping")
    with closing(Store(settings)) as store:
        assert [job.status for job in store.jobs()] == [JobStatus.QUEUED]


def log_of(captionq: Captionq, name: str) -> str:
    path = captionq.settings.log_dir / name
    return path.read_text() if path.exists() else ""
