"""Pausing, resuming and priorities over HTTP, from a server in the process of the tests."""

from __future__ import annotations

from fastapi.testclient import TestClient
from redis import Redis

from api.app import create_app
from jobs.configuration.settings import Settings
from jobs.queue.lanes import lane_queue
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Lane
from tests.support.rows import RESULT, add_batch, make_job

HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}]}


def test_runs_are_paused_and_resumed(settings: Settings, store: Store, connection: Redis) -> None:
    """A command's run, a folder and a list alike; an ended run and an unknown one are named."""
    run, (job,) = add_batch(store, 1)
    folder = Batch(description="/pictures", kind=BatchKind.FOLDER, model="demo", priority=3)
    store.add_batch(folder)
    store.add([make_job("other", folder)])
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        paused = client.post(f"/v1/runs/{run.id}/pause").json()
        assert (paused["object"], paused["kind"], paused["status"]) == ("run", "run", "paused")
        assert paused["counts"]["queued"] == 1
        assert client.post(f"/v1/folders/{folder.id}/pause").json()["status"] == "paused"
        assert client.get(f"/v1/folders/{folder.id}").json()["priority"] == 3
        assert connection.llen("rq:queue:bulk") == 0
        assert client.post(f"/v1/runs/{run.id}/resume").json()["status"] == "running"
        assert client.post(f"/v1/folders/{folder.id}/resume").json()["status"] == "running"
        assert connection.llen("rq:queue:bulk") == 2
        page = client.get(f"/runs/{run.id}", headers={"accept": "text/html"}).text
        assert f'action="/runs/{run.id}/pause"' in page
        client.post(f"/runs/{run.id}/pause", headers={"origin": "http://127.0.0.1"}, follow_redirects=False)
        page = client.get(f"/runs/{run.id}", headers={"accept": "text/html"}).text
        assert f'action="/runs/{run.id}/resume"' in page
        assert "Paused" in page
        client.post(f"/v1/runs/{run.id}/resume")
        store.claim([job.id], "worker")
        store.succeed(job.id, RESULT)
        assert client.get(f"/v1/runs/{run.id}").json()["status"] == "ended"
        refused = client.post(f"/v1/runs/{run.id}/pause")
        assert (refused.status_code, run.id in refused.json()["error"]["message"]) == (409, True)
        assert client.post("/v1/runs/batch_unknown/resume").status_code == 404
        assert client.post(f"/v1/folders/{run.id}/pause").status_code == 404


def test_a_list_has_one_priority(settings: Settings, store: Store, connection: Redis) -> None:
    """A list goes ahead of an older run; a single request has no run that could."""
    add_batch(store, 1)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        made = client.post("/v1/jobs", json=[{**HELLO, "priority": 2}] * 2).json()["data"]
        waiting: list[str] = lane_queue(connection, Lane.BULK).get_job_ids()
        assert waiting[:2] == [job["id"] for job in made]
        assert len(waiting) == 3
        for body in ({**HELLO, "priority": 2}, [HELLO, {**HELLO, "priority": 2}], [{**HELLO, "priority": 101}]):
            assert client.post("/v1/jobs", json=body).status_code in (400, 422), body
