"""Answers on their way to a client, from a server in the process of the tests: cases that take long, or happen by chance."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import uvicorn
from anyio import to_thread
from redis import Redis
from sqlalchemy import text

from api.app import create_app
from api.runtime.subscription import Subscription
from api.streaming.job_follower import follow_job
from jobs.configuration.settings import Settings
from jobs.errors import InvalidJSONAnswerError
from jobs.queue.events import Event, publish
from jobs.queue.worker_state import WorkerState, publish_state, withdraw_state
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.processes import PATIENCE, until
from tests.support.rows import RESULT
from tests.support.serving import events_of

CHAT = "/v1/chat/completions"
HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def client(settings: Settings, connection: Redis) -> Iterator[httpx2.Client]:
    """A client of a server in a thread, so that tests can shorten its waits. Its only worker lives, and does nothing."""
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
    """Wait for the job, and return it."""
    until(lambda: bool(store.jobs()), "the job")
    return store.jobs()[0]


def a_job(store: Store, **more: Any) -> Job:
    """Store a job that is in no lane."""
    job = Job(lane=Lane.BULK, model="demo-text", request="{}", digest="x", streamed=True, **more)
    store.add([job])
    return job


@pytest.mark.parametrize("turns", range(6))
def test_a_follower_that_is_cancelled_while_an_update_comes_ends(store: Store, turns: int) -> None:
    """Any number of loop turns may lie between the update and the cancellation. A follower that misses it runs for ever."""

    async def is_cancelled() -> bool:
        subscription = Subscription("job_1", "0", asyncio.get_running_loop())

        async def listen() -> None:
            async for _ in follow_job(store, subscription):
                pass

        following = asyncio.create_task(listen())
        await _turns(10)
        subscription.put(Event("1-0", "tokens", {}))
        await _turns(turns)
        following.cancel()
        await _turns(10)
        return following.cancelled()

    assert asyncio.run(is_cancelled())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("is_json", [False, True])
def test_thoughts_and_json_that_was_cut_off_are_answered_as_clients_expect(
    client: httpx2.Client, store: Store, connection: Redis, streamed: bool, is_json: bool
) -> None:
    """Thoughts are no content. A job that failed because its JSON was cut off is a completion with the reason `length`."""
    done = replace(RESULT, text='{"a', finish_reason="length", reasoning=None if is_json else "The user")

    def work() -> None:
        job = the_only_job(store)
        store.claim([job.id], "idle")
        if is_json:
            store.fail(job.id, InvalidJSONAnswerError(), done)
        else:
            store.succeed(job.id, done)
        publish(connection, [Event(job.id, "ended", {})])

    with ThreadPoolExecutor() as threads:
        working = threads.submit(work)
        answer = client.post(CHAT, json={**HELLO, "stream": streamed})
        working.result()
    assert answer.status_code == 200
    thoughts = {} if is_json else {"reasoning_content": "The user"}
    if streamed:
        events = [event["data"] for event in events_of(iter(answer.text.splitlines()))]
        choices = [event["choices"][0] for event in events[1:-1]]
        deltas = [{"content": '{"a'}, {}]
        assert [one["delta"] for one in choices] == ([thoughts, *deltas] if thoughts else deltas)
    else:
        [*_, choice] = choices = answer.json()["choices"]
        assert choice["message"] == {"role": "assistant", "content": '{"a', "refusal": None, **thoughts}
    assert choices[-1]["finish_reason"] == "length"
    shown = client.get(f"/v1/jobs/{the_only_job(store).id}").json()
    assert (shown["status"], shown["result"] is None) == (("failed", True) if is_json else ("succeeded", False))
    # The text of these streams came with the end of the job: no event had told of it.
    assert f"captionq_http_first_token_seconds_count {float(streamed)}" in client.get("/metrics").text


@pytest.mark.parametrize("key", [None, "mine"])
def test_a_stream_whose_worker_has_gone_for_good_ends(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The stream ends with an error. Its job is cancelled, unless the client may come back with its key."""
    monkeypatch.setattr("api.streaming.chat_answer.WORKER_PATIENCE", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEADERS_AFTER", 0.0)
    headers = {} if key is None else {"Idempotency-Key": key}
    with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=headers) as response:
        events = events_of(response.iter_lines())
        assert next(events)["data"]["choices"][0]["delta"]["role"] == "assistant"
        withdraw_state(connection, "idle")
        assert [event["data"]["error"]["code"] for event in events] == ["worker_unavailable"]
    status = JobStatus.CANCELLED if key is None else JobStatus.QUEUED
    until(lambda: the_only_job(store).status == status, "the job's status")


def test_a_worker_that_lives_is_waited_for(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream waits as long as the answer takes, and sends comments to show that it lives."""
    monkeypatch.setattr("api.streaming.chat_answer.WORKER_PATIENCE", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEADERS_AFTER", 0.0)
    monkeypatch.setattr("api.streaming.chat_answer.HEARTBEAT", 0.0)
    with client.stream("POST", CHAT, json={**HELLO, "stream": True}) as response:
        lines = response.iter_lines()
        assert [next(line for line in lines if line.startswith(":")) for _ in range(2)] == [": ping"] * 2
        store.cancel([the_only_job(store).id])
        assert [event["data"]["error"]["code"] for event in events_of(lines)] == ["conflict"]


def test_an_idle_event_stream_sends_comments(
    client: httpx2.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job runs, and publishes nothing."""
    monkeypatch.setattr("api.streaming.job_events.HEARTBEAT", 0.0)
    monkeypatch.setattr("api.streaming.job_events.POSITION_EVERY", 0.01)
    job = a_job(store)
    store.claim([job.id], "idle")
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        assert next(line for line in response.iter_lines() if line.startswith(":")) == ": ping"


def test_a_waiting_job_has_its_position_and_its_time_published(client: httpx2.Client) -> None:
    """The time is at the speed of the lane's workers: two jobs a second."""
    ids = [client.post("/v1/jobs", json=HELLO).json()["id"] for _ in range(3)]
    with client.stream("GET", f"/v1/jobs/{ids[2]}/events") as response:
        position = next(event for event in events_of(response.iter_lines()) if event["event"] == "position")
    assert position["data"] == {"ahead": 2, "seconds_left": 1.5}


def test_events_name_a_model_in_a_folder_without_its_path(
    client: httpx2.Client, store: Store, connection: Redis
) -> None:
    """Clients must not learn the folders of the server."""
    job = a_job(store)
    publish(connection, [Event(job.id, name, {"model": "/Users/me/models/mine"}) for name in ("loading", "loaded")])
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        events = events_of(response.iter_lines())
        published = [next(event for event in events if event["event"] == name) for name in ("loading", "loaded")]
    assert [event["data"] for event in published] == [{"model": "mine"}] * 2


def test_a_database_that_fails_under_a_stream_is_reported(
    client: httpx2.Client, store: Store, connection: Redis
) -> None:
    """The error is the last event of an answer, and of a job's event stream, in the one shape."""
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
    for name, received in answers.items():
        assert received[0] == 200
        assert received[-1]["data"]["error"]["code"] == "database_unavailable", name
    assert answers["events"][-1]["event"] == "error"
    assert "event" not in answers["chat"][-1]


def test_a_stored_answer_needs_no_worker(
    client: httpx2.Client, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated request with its key gets the stored answer; a request without a stored answer needs a worker."""
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
    """Some clients split lines as Python's `str.splitlines` does."""
    words = "one\u2028two\u0085three"
    job = a_job(store)
    publish(connection, [Event(job.id, "tokens", {"text": words, "at": 0, "attempt": 1})])
    with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        event = next(event for event in events_of(response.iter_lines()) if event["event"] == "tokens")
    assert event["data"]["text"] == words


def test_the_server_is_alive_when_all_threads_are_busy(settings: Settings) -> None:
    """A supervisor would otherwise kill a server that is only busy."""

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
