"""Answers on their way to a client, within the process of the tests: what a real server shows after a long wait, or by chance."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import uvicorn
from anyio import to_thread
from redis import Redis
from sqlalchemy import text

from api.app import create_app
from api.middleware.request_metrics import RequestMetrics
from api.runtime.event_hub import Subscription
from api.runtime.resources import Resources, open_resources
from api.streaming.job_follower import follow
from jobs.queue.events import Event, publish
from jobs.queue.worker_state import WorkerState, publish_state, withdraw_state
from jobs.settings import Settings
from jobs.store.store import Result, Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.processes import PATIENCE, until
from tests.support.serving import events_of

CHAT = "/v1/chat/completions"
HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def client(settings: Settings, connection: Redis) -> Iterator[httpx2.Client]:
    """Of a server that runs in a thread, so that its patience can be lowered. Its only worker lives, and never does anything."""
    connection.sadd("rq:workers", "rq:worker:idle")
    publish_state(connection, WorkerState(name="idle", at=1.0, rates={Lane.BULK: 2.0}), 3600)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started, "the server")
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def the_only_job(store: Store) -> Job:
    """Once it is there."""
    until(lambda: bool(store.jobs()), "the job")
    return store.jobs()[0]


def a_job(store: Store, **more: Any) -> Job:
    """In the store, and in no lane."""
    job = Job(lane=Lane.BULK, model="demo-text", request="{}", digest="x", streamed=True, **more)
    store.add([job])
    return job


@pytest.fixture
def resources(settings: Settings) -> Iterator[Resources]:
    """What a running API holds, without a server around it."""
    with open_resources(settings, RequestMetrics()) as opened:
        yield opened


@pytest.mark.parametrize("turns", range(6))
def test_who_is_cancelled_while_news_come_follows_no_longer(resources: Resources, turns: int) -> None:
    """However many turns of the loop lie between the news and the cancellation: one that misses it goes on for ever."""

    async def is_cancelled() -> bool:
        subscription = Subscription("job_1", "0", asyncio.get_running_loop())

        async def listen() -> None:
            async for _ in follow(resources, subscription):
                pass

        following = asyncio.create_task(listen())
        await _turns(10)
        subscription.put(Event("1-0", "tokens", {}))
        await _turns(turns)
        following.cancel()
        await _turns(10)
        return following.cancelled()

    assert asyncio.run(is_cancelled())


@pytest.mark.parametrize("key", [None, "mine"])
def test_a_stream_whose_worker_has_gone_for_good_ends(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """With an error, and its job with it, unless its client may come back."""
    monkeypatch.setattr("api.streaming.chat_answer.WORKER_PATIENCE", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEADERS_AFTER", 0.0)
    headers = {} if key is None else {"Idempotency-Key": key}
    with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=headers) as response:
        events = events_of(response.iter_lines())
        assert next(events)["data"]["choices"][0]["delta"]["role"] == "assistant"
        withdraw_state(connection, "idle")
        assert [event["data"]["error"]["code"] for event in events] == ["worker_unavailable"]
    status = JobStatus.CANCELLED if key is None else JobStatus.QUEUED
    until(lambda: the_only_job(store).status == status, "what becomes of the job")


def test_a_worker_that_lives_is_waited_for(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as it takes; comments say meanwhile that the stream is alive."""
    monkeypatch.setattr("api.streaming.chat_answer.WORKER_PATIENCE", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEADERS_AFTER", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEARTBEAT", 0.0)
    with client.stream("POST", CHAT, json={**HELLO, "stream": True}) as response:
        lines = response.iter_lines()
        assert [next(line for line in lines if line.startswith(":")) for _ in range(2)] == [": ping"] * 2
        store.cancel([the_only_job(store).id])
        assert [event["data"]["error"]["code"] for event in events_of(lines)] == ["conflict"]


def test_events_of_a_job_show_that_they_live(
    client: httpx2.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that runs, and says nothing."""
    monkeypatch.setattr("api.streaming.job_events.HEARTBEAT", 0.0)
    monkeypatch.setattr("api.streaming.job_events.POSITION_EVERY", 0.01)
    job = a_job(store)
    store.claim([job.id], "idle")
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        assert next(line for line in response.iter_lines() if line.startswith(":")) == ": ping"


def test_a_job_that_waits_is_told_its_place_and_its_time(client: httpx2.Client) -> None:
    """At the speed of its lane's workers, which is two jobs a second here."""
    ids = [client.post("/v1/jobs", json=HELLO).json()["id"] for _ in range(3)]
    with client.stream("GET", f"/v1/jobs/{ids[2]}/events") as response:
        position = next(event for event in events_of(response.iter_lines()) if event["event"] == "position")
    assert position["data"] == {"ahead": 2, "seconds_left": 1.5}


def test_a_model_in_a_folder_is_called_by_its_name_alone(
    client: httpx2.Client, store: Store, connection: Redis
) -> None:
    """Where it lies is nobody's business."""
    job = a_job(store)
    publish(connection, [Event(job.id, name, {"model": "/Users/me/models/mine"}) for name in ("loading", "loaded")])
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        events = events_of(response.iter_lines())
        told = [next(event for event in events if event["event"] == name) for name in ("loading", "loaded")]
    assert [event["data"] for event in told] == [{"model": "mine"}] * 2


def test_a_database_that_fails_under_a_stream_is_told(client: httpx2.Client, store: Store, connection: Redis) -> None:
    """As its last event, in the one shape: of an answer, and of the events of its job."""
    answers: dict[str, list[Any]] = {}

    def read(name: str, method: str, path: str, body: Any) -> None:
        with client.stream(method, path, json=body) as response:
            answers[name] = [response.status_code, *events_of(response.iter_lines())]

    with ThreadPoolExecutor() as pool:
        chat = pool.submit(read, "chat", "POST", CHAT, {**HELLO, "stream": True})
        job = the_only_job(store)
        events = pool.submit(read, "events", "GET", f"/v1/jobs/{job.id}/events", None)
        publish(connection, [Event(job.id, "tokens", {"text": "He", "at": 0, "attempt": 1})])
        until(lambda: "captionq_streams 2.0" in client.get("/metrics").text, "both streams")
        with store.engine.begin() as database:
            database.execute(text("ALTER TABLE job RENAME TO elsewhere"))
        publish(connection, [Event(job.id, "ended", {})])
        chat.result(PATIENCE)
        events.result(PATIENCE)
    for name, told in answers.items():
        assert told[0] == 200
        assert told[-1]["data"]["error"]["code"] == "database_unavailable", name
    assert answers["events"][-1]["event"] == "error"
    assert "event" not in answers["chat"][-1]


def test_a_stored_answer_needs_no_worker(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes back with the key gets it; what is not there yet needs one."""
    monkeypatch.setattr("api.streaming.chat_answer.HEADERS_AFTER", 0.0)
    key = {"Idempotency-Key": "mine"}
    with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=key):
        pass
    job = the_only_job(store)
    withdraw_state(connection, "idle")
    until(lambda: client.get("/readyz").json()["workers"] == [], "the worker's end")
    assert client.post(CHAT, json=HELLO, headers=key).status_code == 503
    store.claim([job.id], "idle")
    store.succeed(job.id, Result("Hello!", "stop", 1, 0, 2, 0.0, 0.0, 0.0))
    again = client.post(CHAT, json=HELLO, headers=key)
    assert again.json()["choices"][0]["message"]["content"] == "Hello!"


def test_odd_ends_of_lines_do_not_break_an_event(client: httpx2.Client, store: Store, connection: Redis) -> None:
    """There are clients that split lines as Python's `str.splitlines` does."""
    said = "one\u2028two\u0085three"
    job = a_job(store)
    publish(connection, [Event(job.id, "tokens", {"text": said, "at": 0, "attempt": 1})])
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        event = next(event for event in events_of(response.iter_lines()) if event["event"] == "tokens")
    assert event["data"]["text"] == said


def test_it_is_alive_when_all_threads_are_busy(settings: Settings) -> None:
    """A supervisor would end a server that only has a lot to do."""

    async def status() -> int:
        threads = to_thread.current_default_thread_limiter()
        for _ in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(object())
        transport = httpx2.ASGITransport(create_app(settings))
        async with (
            httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
            asyncio.timeout(PATIENCE),
        ):
            return (await client.get("/healthz")).status_code

    assert asyncio.run(status()) == 200


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
