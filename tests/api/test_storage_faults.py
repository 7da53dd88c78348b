"""The API while its disk is full, its database locked, or its worker waits: the cause is named to clients and in `/readyz`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from redis import Redis
from redis.exceptions import ResponseError

from api.app import create_app
from api.runtime import resources
from jobs.configuration.settings import Settings
from jobs.queue import broker
from jobs.queue.worker_state import WorkerState, publish_state
from tests.support.disks import fill, mounted
from tests.support.processes import until

HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def client(settings: Settings, connection: Redis) -> Iterator[TestClient]:
    """A client of an application with a broker, and without a worker."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def uploaded(client: TestClient) -> httpx2.Response:
    """Upload a file."""
    return client.post("/v1/files", files={"file": ("a.jsonl", b"{}" * 10_000)}, data={"purpose": "batch"})


def refuses_changes(connection: Redis) -> bool:
    """Whether the broker says that its disk is full."""
    try:
        connection.set("x", "y" * 10_000)
    except ResponseError as error:
        return "No space left" in str(error)
    return False


def test_a_full_disk_is_507_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Questions and uploads are refused, the broker stays, and everything works again by itself."""
    with mounted(tmp_path / "disk", "16m") as disk:
        settings = Settings(data_dir=disk / "data", model="demo")
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            connection = broker.find(settings)
            assert connection is not None
            ballast = fill(disk)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["problems"]) == (503, ["disk_full"])
            for answer in (client.post("/v1/chat/completions", json=HELLO), uploaded(client)):
                assert answer.status_code == 507
                assert answer.json()["error"]["code"] == "disk_full"
            until(lambda: refuses_changes(connection), "the broker's refusal")
            ballast.unlink()
            assert uploaded(client).status_code == 200
            assert client.get("/readyz").json()["problems"] == []


def test_a_locked_database_is_not_ready(settings: Settings, client: TestClient) -> None:
    """The rows can be read, and nothing can be queued."""
    with closing(sqlite3.connect(settings.data_dir / "captionq.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (503, ["database_locked"])


def test_readiness_tells_what_a_worker_waits_for(
    client: TestClient, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waits for room is ready for chats; one whose step does not end is not, unless another works."""
    monkeypatch.setattr(resources, "WORKER_STATES_KEPT", 0.0)
    now = time.time()
    waiting = WorkerState("waiting", now, fault_code="output_disk_full", fault="/secret is full.")
    still = WorkerState("still", now, step_seconds=90.0)
    leaving = WorkerState("leaving", now, draining=True)
    for states, status, problems in (
        ([waiting], 200, ["output_disk_full"]),
        ([still], 503, ["worker_stands_still"]),
        ([still, leaving], 503, ["worker_stands_still"]),
        ([leaving, waiting], 200, ["output_disk_full"]),
        ([still, waiting], 200, ["output_disk_full", "worker_stands_still"]),
    ):
        connection.flushall()
        for state in states:
            connection.sadd("rq:workers", f"rq:worker:{state.name}")
            publish_state(connection, state)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (status, problems)
        assert "secret" not in ready.text
