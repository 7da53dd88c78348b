"""A queue's server that is frozen, full or read-only, while clients ask: typed errors, and nothing lost or doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.runtime import event_hub
from jobs.configuration.settings import Settings
from jobs.creation import create
from jobs.net import broker_address, broker_retry
from jobs.queue import feeding
from jobs.queue.lanes import lane_queue
from jobs.queue.reconcile import reconcile
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.brokers import WRITE_FAULTS, Valkey, valkey
from tests.support.processes import until
from tests.support.serving import hello

KEY = {"Idempotency-Key": "a key"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server that tests may suspend."""
    with valkey(tmp_path) as server:
        yield server


@pytest.fixture
def client(settings: Settings, server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of an API that waits 2 s for the server."""
    for module in (broker_address, broker_retry):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(event_hub, "ROW_CHECK_EVERY", 0.1)
    app = create_app(settings.model_copy(update={"redis_url": server.url}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def code_of(response: Any) -> tuple[int, str]:
    """Return the status and the error's code."""
    return response.status_code, response.json()["error"]["code"]


def test_a_frozen_server_costs_seconds_and_no_request_is_half_made(
    client: TestClient, server: Valkey, store: Store
) -> None:
    """The page and all that needs only rows are answered. After the wake the same requests make one job."""
    with server.frozen():
        assert code_of(client.post("/v1/jobs", json=hello(), headers=KEY)) == (503, "broker_silent")
        assert code_of(client.post("/v1/chat/completions", json=hello())) == (503, "broker_silent")
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["broker"], ready.json()["database"]) == (503, False, True)
        assert client.get("/", headers={"accept": "text/html"}).status_code == 200
        assert client.get("/v1/jobs").json()["data"] == []
    until(lambda: bool(client.get("/readyz").json()["broker"]), "the broker")
    made = client.post("/v1/jobs", json=hello(), headers=KEY)
    again = client.post("/v1/jobs", json=hello(), headers=KEY)
    assert (made.status_code, again.json()["id"]) == (201, made.json()["id"])
    assert len(store.jobs()) == 1


def test_a_server_that_freezes_when_the_row_is_written_delays_the_job(
    client: TestClient, server: Valkey, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is acknowledged. The job gets its entry when the server is back, or when the client asks again."""

    def freeze_and_enqueue(*arguments: Any, **options: Any) -> None:
        with server.frozen():
            feeding.enqueue(*arguments, **options)

    monkeypatch.setattr(create, "enqueue", freeze_and_enqueue)
    made = client.post("/v1/jobs", json=hello(), headers=KEY)
    assert made.status_code == 201
    reconcile(store, server.connection)
    assert lane_queue(server.connection, Lane.BULK).get_job_ids() == [made.json()["id"]]


@pytest.mark.parametrize(("fault", "code"), WRITE_FAULTS)
def test_a_server_that_accepts_no_writes_is_told(
    client: TestClient,
    server: Valkey,
    store: Store,
    fault: Callable[[Valkey], AbstractContextManager[None]],
    code: str,
) -> None:
    """Before a row is written: a job without an entry would keep its client waiting."""
    with fault(server):
        assert code_of(client.post("/v1/jobs", json=hello(), headers=KEY)) == (503, code)
        assert store.jobs() == []
    assert client.post("/v1/jobs", json=hello(), headers=KEY).status_code == 201
