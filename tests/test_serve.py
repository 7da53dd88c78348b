"""`captionq serve` when things break: workers and brokers that are killed, clients that go, signals and deadlines."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import psutil
import pytest

from jobs import broker
from jobs.models import built_in_models
from jobs.settings import Settings
from jobs.store import Store
from jobs.verdicts import Batching, Verdict, key_of, remember
from jobs.worker_state import WorkerState, publish_state
from tests.processes import ended as ended_process
from tests.processes import until
from tests.scenes import draw_many
from tests.serving import Served, about, data_uri, events_of, serving
from tests.test_api_jobs import ended, endless, hello, rows
from tests.test_chat import png

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def served(settings: Settings) -> Iterator[Served]:
    """A server of the test's own: it is going to be broken."""
    with serving(settings) as running:
        yield running


def the_only_job(served: Served) -> dict[str, Any]:
    """The newest."""
    found: dict[str, Any] = served.client.get("/v1/jobs", params={"limit": 1}).json()["data"][0]
    return found


def cut_off(served: Served, body: dict[str, Any]) -> socket.socket:
    """A request whose client can be cut off, as by a cable: only its first bytes are read."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    content = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_frees_its_row(served: Served, stream: bool) -> None:
    """Streaming or not: the job is cancelled, and nobody decodes for nobody."""
    served.client.post("/v1/chat/completions", json=hello())
    connection = cut_off(served, endless(stream=stream))
    until(lambda: the_only_job(served)["status"] == "running", "its beginning")
    until(lambda: rows(served) > 0, "its row")
    if stream:
        connection.recv(4096)
    connection.close()
    until(lambda: the_only_job(served)["status"] == "cancelled", "its end")
    until(lambda: rows(served) == 0, "the row's end")


def test_a_client_with_a_key_may_come_back_for_its_answer(served: Served) -> None:
    """Its job goes on without it."""
    body = {**hello(), "messages": [{"role": "user", "content": "Count to ten."}]}
    content = json.dumps(body).encode()
    host = served.url.removeprefix("http://")
    with socket.create_connection(tuple(host.split(":"))) as connection:  # type: ignore[arg-type]
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Idempotency-Key: mine\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        until(lambda: bool(served.client.get("/v1/jobs").json()["data"]), "the job")
    answer = served.client.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": "mine"})
    assert answer.json()["choices"][0]["message"]["content"]
    assert len(served.client.get("/v1/jobs").json()["data"]) == 1


def test_a_deadline_names_the_job_and_the_job_goes_on(settings: Settings) -> None:
    """504; polling has the result later, and clients are told not to ask again."""
    with serving(settings, CAPTIONQ_SYNC_DEADLINE="0.05") as served:
        late = served.client.post("/v1/chat/completions", json=hello())
        assert late.status_code == 504
        assert late.headers["x-should-retry"] == "false"
        job_id = late.headers["x-captionq-job"]
        assert job_id in late.json()["error"]["message"]
        assert ended(served, job_id)["status"] == "succeeded"


def test_a_worker_that_is_killed_is_started_again_and_the_stream_goes_on(served: Served) -> None:
    """What was sent stays true: the second attempt says the same, and only what is new is sent."""
    body = endless(stream=True, max_tokens=400)
    whole = served.client.post("/v1/chat/completions", json={**body, "stream": False}).json()
    pieces: list[str] = []
    with served.client.stream("POST", "/v1/chat/completions", json=body) as response:
        for event in events_of(response.iter_lines()):
            if event["data"] == "[DONE]":
                break
            assert "error" not in event["data"], event
            pieces += [choice["delta"].get("content") or "" for choice in event["data"]["choices"]]
            if len(pieces) == 4:
                os.kill(served.captionq.worker_pid(), signal.SIGKILL)
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert the_only_job(served)["attempts"] == 2


def brokers(served: Served) -> list[psutil.Process]:
    """The servers of its queue."""
    folder = str(served.captionq.settings.data_dir)
    lines = {one: " ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])}
    return [one for one, line in lines.items() if "redis.sock" in line and folder in line and "sh -c" not in line]


def test_a_broker_that_is_killed_is_started_again(served: Served) -> None:
    """Requests in between are told to come back; afterwards all is as before."""
    drawn = draw_many(1)[0]
    body = about(data_uri(png(drawn)))
    assert served.client.post("/v1/chat/completions", json=body).status_code == 200
    found = brokers(served)
    for process in found:
        process.kill()
    statuses: set[int] = set()

    def answers() -> bool:
        answer = served.client.post("/v1/chat/completions", json=body)
        statuses.add(answer.status_code)
        return answer.status_code == 200

    until(answers, "an answer after the broker's death")
    assert statuses <= {200, 503}
    assert found


def test_a_broker_that_is_killed_leaves_no_hole_in_a_stream(served: Served) -> None:
    """What it loses comes with the row at last."""
    body = endless(max_tokens=1200)
    whole = served.client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    pieces: list[str] = []
    killed: list[psutil.Process] = []
    with served.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        for event in events_of(response.iter_lines()):
            if event["data"] == "[DONE]":
                break
            assert "error" not in event["data"], event
            pieces += [choice["delta"].get("content") or "" for choice in event["data"]["choices"]]
            if len(pieces) == 6:
                killed = brokers(served)
                for process in killed:
                    process.kill()
    assert killed
    assert "".join(pieces) == whole


def test_a_signal_lets_answers_finish_and_event_streams_go(served: Served) -> None:
    """New requests are refused meanwhile, and jobs that wait are there for the next start."""
    served.client.post("/v1/chat/completions", json=hello())
    waiting = served.client.post("/v1/jobs", json=endless()).json()
    answers: list[Any] = []
    events: list[Any] = []
    watched = threading.Event()

    def ask() -> None:
        answers.append(httpx2.post(f"{served.url}/v1/chat/completions", json=endless(max_tokens=1000), timeout=300))

    def watch() -> None:
        with httpx2.stream("GET", f"{served.url}/v1/jobs/{waiting['id']}/events", timeout=300) as response:
            for event in events_of(response.iter_lines()):
                events.append(event)
                watched.set()

    threads = [threading.Thread(target=target) for target in (ask, watch)]
    for thread in threads:
        thread.start()
    until(lambda: len(served.client.get("/v1/jobs?status=running").json()["data"]) == 2, "both to run")
    # The jobs may well run before the stream of events has found the server, which then is gone.
    until(watched.is_set, "the first event")
    assert served.stop() == 0
    for thread in threads:
        thread.join()
    assert answers[0].status_code == 200
    assert answers[0].json()["usage"]["completion_tokens"] == 1000
    assert "result" not in [event["event"] for event in events]
    with serving(served.captionq.settings) as again:
        assert again.client.get(f"/v1/jobs/{waiting['id']}").json()["status"] in ("queued", "running")
        again.client.delete(f"/v1/jobs/{waiting['id']}")


def test_a_model_whose_rows_run_alone_is_called_so(settings: Settings) -> None:
    """By the worker that has it, and in the list of models."""
    verdict = Verdict(Batching.ALONE, refused=0.4)
    remember(settings, key_of(built_in_models()["demo-text"]), verdict)
    with serving(settings) as served:
        answer = served.client.post("/v1/chat/completions", json={**hello(), "model": "demo-text"})
        assert answer.status_code == 200

        def workers() -> list[tuple[str, str, int]]:
            found = served.client.get("/readyz").json()["workers"]
            return [(one["model"], one["batching"], one["slots"]) for one in found]

        until(lambda: workers() == [("demo-text", "alone", 1)], "what it says of itself")
        assert served.client.get("/v1/models/demo-text").json()["batching"] == "alone"


def test_answers_that_are_late_when_the_server_ends_are_given_up_in_good_order(settings: Settings) -> None:
    """In the one shape, and not to be asked again: their jobs go on at the next start."""
    with serving(settings, "--no-worker", ready=False, CAPTIONQ_GRACE="0") as served, closing(Store(settings)) as store:
        connection = broker.find(settings)
        assert connection is not None
        # A worker that never does anything.
        connection.sadd("rq:workers", "rq:worker:idle")
        publish_state(connection, WorkerState(name="idle", at=1.0), 3600)
        answers: list[httpx2.Response] = []

        def ask(**more: Any) -> None:
            answers.append(httpx2.post(f"{served.url}/v1/chat/completions", json=hello(**more), timeout=300))

        with httpx2.stream("POST", f"{served.url}/v1/chat/completions", json=hello(stream=True), timeout=300) as begun:
            # Its headers have been sent: it has no status any more that could tell.
            threads = [threading.Thread(target=ask, kwargs=more) for more in ({}, {"stream": True})]
            for thread in threads:
                thread.start()
            until(lambda: "captionq_streams 3.0" in served.client.get("/metrics").text, "all three")
            assert served.stop() == 0
            last = list(events_of(begun.iter_lines()))[-1]
        for thread in threads:
            thread.join()
        assert last["data"]["error"]["code"] == "server_stopping"
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_stopping")
            assert answer.headers["x-should-retry"] == "false"
            assert answer.headers["x-request-id"]
            assert answer.headers["x-captionq-job"] in answer.json()["error"]["message"]
        assert [job.status for job in store.jobs()] == ["queued"] * 3


def test_a_worker_of_its_own_command_answers(settings: Settings) -> None:
    """`captionq serve --no-worker`, and `captionq work` beside it."""
    drawn = draw_many(1)[0]
    with serving(settings, "--no-worker", ready=False) as served:
        working = served.captionq.start("work")
        until(lambda: served.client.get("/readyz").status_code == 200, "the worker")
        answer = served.client.post("/v1/chat/completions", json=about(data_uri(png(drawn))))
        assert answer.json()["choices"][0]["message"]["content"] == drawn.caption
        working.send_signal(signal.SIGTERM)
        assert ended_process(working).returncode == 0
