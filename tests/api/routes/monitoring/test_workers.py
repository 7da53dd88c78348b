"""The workers over HTTP: the list, the readiness and the metrics say the same."""

from __future__ import annotations

from dataclasses import replace

from fastapi.testclient import TestClient
from redis import Redis
from rq import Worker

from api.app import create_app
from jobs.configuration.settings import Settings
from jobs.queue.worker_state import WorkerState, publish_state
from worker.dispatch.queue_worker import QueueWorker

STATE = WorkerState("one", at=2.0, model="/models/demo", rates={"bulk": 2.0}, host="studio", jobs=3, memory=7)


def test_workers_are_listed_and_a_draining_one_is_not_ready(settings: Settings, connection: Redis) -> None:
    """rq's own tools know the worker, too. The readiness, which needs no key, tells no names."""
    QueueWorker("one", connection).register_birth()  # type: ignore[no-untyped-call]
    publish_state(connection, STATE, 3600)
    assert [worker.name for worker in Worker.all(connection=connection)] == ["one"]
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        (told,) = client.get("/v1/workers").json()["data"]
        assert (told["name"], told["host"], told["model"], told["status"]) == ("one", "studio", "demo", "busy")
        assert (told["rate"], told["memory_bytes"], told["last_seen_at"]) == (2.0, 7, 2.0)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["workers"][0]["status"]) == (200, "busy")
        assert "studio" not in ready.text
        text = client.get("/metrics").text
        assert 'captionq_worker_info{host="studio",model="demo",worker="one"} 1.0' in text
        assert 'captionq_worker_last_seen_seconds{worker="one"} 2.0' in text
    wait = replace(STATE, bulk_wait="until 22:00 (CAPTIONQ_HOURS)", bulk_wait_codes=["outside_hours"])
    publish_state(connection, wait, 3600)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        assert client.get("/v1/workers").json()["data"][0]["bulk_wait_codes"] == ["outside_hours"]
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["workers"][0]["bulk_wait"] == wait.bulk_wait
        assert f"bulk work waits {wait.bulk_wait}" in client.get("/", headers={"accept": "text/html"}).text
    publish_state(connection, replace(STATE, draining=True), 3600)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        assert client.get("/v1/workers").json()["data"][0]["status"] == "draining"
        assert client.get("/readyz").status_code == 503
        assert 'captionq_worker_draining{worker="one"} 1.0' in client.get("/metrics").text
