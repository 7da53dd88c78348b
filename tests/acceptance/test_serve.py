"""`captionq serve` when parts fail: killed workers and brokers, clients that leave, signals and deadlines."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx2
import pytest

from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import Batching, BatchingVerdict, key_of, remember
from jobs.models.model_info import built_in_models
from jobs.queue import broker
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.acceptance.test_chat import png
from tests.acceptance.test_jobs import ended
from tests.support.processes import DATA_FOLDER, PATIENCE, until
from tests.support.processes import ended as ended_process
from tests.support.scenes import draw_many
from tests.support.serving import Served, about, data_uri, endless, events_of, hello, serving

pytestmark = pytest.mark.timeout(300)

#: A request whose answer is disturbed, long before its end.
LONG = endless()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests that it outlives, without a worker or a broker for a while."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("serve") / DATA_FOLDER)
    settings.make_folders()
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits for hardly any answer, and whose worker runs one request of the text-only model at a time."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("hasty") / DATA_FOLDER)
    settings.make_folders()
    verdict = BatchingVerdict(Batching.ALONE, refused=0.4, slots=settings.slots)
    remember(settings, key_of(built_in_models()["demo-text"]), verdict)
    with serving(settings, CAPTIONQ_SYNC_DEADLINE="0.05") as running:
        yield running


@pytest.fixture
def served(settings: Settings) -> Iterator[Served]:
    """A server that only this test uses, because the test breaks it. Answers may finish, also on a slow machine."""
    with serving(settings, CAPTIONQ_GRACE="100") as running:
        yield running


def job(served: Served, job_id: str) -> dict[str, Any]:
    """Return the job as polling shows it."""
    found: dict[str, Any] = served.client.get(f"/v1/jobs/{job_id}").json()
    return found


def newest(served: Served) -> str | None:
    """Return the id of the job that was made last."""
    found = served.client.get("/v1/jobs", params={"limit": 1}).json()["data"]
    return found[0]["id"] if found else None


def ask_and_listen(served: Served, body: dict[str, Any], **headers: str) -> tuple[socket.socket, str]:
    """Send a request on a socket that can be cut, and wait for the first text of its job; return the socket and the job's id."""
    before = newest(served)
    host, port = served.url.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    lines = {"Host": f"{host}:{port}", "Content-Type": "application/json", "Content-Length": len(content), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection((host, int(port)))
    connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + content)
    until(lambda: newest(served) != before, "the job")
    job_id = newest(served)
    assert job_id is not None
    served.first_text(job_id)
    return connection, job_id


def open_streams(served: Served) -> float:
    """Return the number of open answers and event streams."""
    lines = served.client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("captionq_streams "))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(shared: Served, stream: bool) -> None:
    """Streamed or not, the job is cancelled, and its sequence leaves the batch."""
    with shared.cut_short():
        connection, job_id = ask_and_listen(shared, endless(stream=stream))
        with shared.paused():
            if stream:
                connection.recv(4096)
            connection.close()
            until(lambda: job(shared, job_id)["status"] == "cancelled", "its end")


def test_a_client_with_a_key_may_come_back_for_its_answer(shared: Served) -> None:
    """Its job goes on without the client."""
    body, key = LONG, {"Idempotency-Key": "mine"}
    connection, job_id = ask_and_listen(shared, body, **key)
    with shared.paused():
        connection.close()
        until(lambda: open_streams(shared) == 0, "the server to notice")
        assert job(shared, job_id)["status"] == "running"
    answer = shared.client.post("/v1/chat/completions", json=body, headers=key)
    assert answer.json()["usage"]["completion_tokens"] == LONG["max_tokens"]
    assert answer.headers["x-captionq-job"] == newest(shared) == job_id


def test_a_deadline_names_the_job_and_the_job_goes_on(hasty: Served) -> None:
    """The answer is 504 and asks clients not to repeat the request; polling has the result later."""
    late = hasty.client.post("/v1/chat/completions", json=endless(max_tokens=100))
    assert late.status_code == 504
    assert late.headers["x-should-retry"] == "false"
    job_id = late.headers["x-captionq-job"]
    assert job_id in late.json()["error"]["message"]
    assert ended(hasty, job_id)["status"] == "succeeded"


def streamed(served: Served, body: dict[str, Any], disturb: Callable[[str], None]) -> tuple[str, str]:
    """Stream an answer, call `disturb` at its first text, and read on to the end; return the job's id and the whole text."""
    pieces: list[str] = []
    with served.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        job_id = response.headers["x-captionq-job"]
        for event in events_of(response.iter_lines()):
            if event["data"] == "[DONE]":
                break
            assert "error" not in event["data"], event
            was_empty = not any(pieces)
            pieces += [choice["delta"].get("content") or "" for choice in event["data"]["choices"]]
            if was_empty and any(pieces):
                disturb(job_id)
    return job_id, "".join(pieces)


@pytest.fixture(scope="module")
def whole(shared: Served) -> str:
    """The answer when nothing happens."""
    answer = shared.client.post("/v1/chat/completions", json=LONG).json()
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_a_worker_that_is_killed_is_started_again_and_the_stream_goes_on(shared: Served, whole: str) -> None:
    """The second attempt generates the same text, and only the new part is sent."""
    job_id, text = streamed(shared, LONG, lambda _: os.kill(shared.captionq.worker_pid(), signal.SIGKILL))
    assert text == whole
    assert job(shared, job_id)["attempts"] == 2


def kill_the_broker(served: Served) -> None:
    """Kill the broker's server, not its keeper."""
    with served.broker() as connection:
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)


def test_a_broker_that_is_killed_is_started_again(shared: Served) -> None:
    """Requests in between get 503; afterwards the server answers as before."""
    body = about(data_uri(png(draw_many(1)[0])))
    assert shared.client.post("/v1/chat/completions", json=body).status_code == 200
    kill_the_broker(shared)
    statuses: set[int] = set()

    def answers() -> bool:
        # An entry that died with the broker comes back when the worker looks for rows that have none, once a minute.
        answer = shared.client.post("/v1/chat/completions", json=body, timeout=300)
        statuses.add(answer.status_code)
        return answer.status_code == 200

    until(answers, "an answer after the broker's death")
    assert statuses <= {200, 503}


def test_a_broker_that_is_killed_leaves_no_hole_in_a_stream(shared: Served, whole: str) -> None:
    """Text that the broker loses comes with the row at the end."""
    received: list[str] = []

    def kill_the_broker_early(job_id: str) -> None:
        with shared.paused():
            received.append(shared.text_of(job_id))
            kill_the_broker(shared)

    _, text = streamed(shared, LONG, kill_the_broker_early)
    assert text == whole
    assert 0 < len(received[0]) < len(whole) / 2


def refuses(served: Served) -> bool:
    """Tell whether a new client is refused."""
    try:
        return httpx2.get(f"{served.url}/v1/models").status_code == 503
    except httpx2.TransportError:
        return True


def test_a_signal_lets_answers_finish_and_event_streams_go(served: Served) -> None:
    """New requests are refused meanwhile. Waiting jobs are kept for the next start."""
    answers: list[Any] = []
    events: list[Any] = []
    watched = threading.Event()

    def ask() -> None:
        answers.append(httpx2.post(f"{served.url}/v1/chat/completions", json=LONG, timeout=PATIENCE))

    def watch(job_id: str) -> None:
        with httpx2.stream("GET", f"{served.url}/v1/jobs/{job_id}/events", timeout=PATIENCE) as response:
            for event in events_of(response.iter_lines()):
                events.append(event)
                watched.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until(lambda: newest(served) is not None, "the request")
    served.first_text(str(newest(served)))
    with served.paused():
        # Another model, so the jobs wait; so many that the last ones would wait long.
        waiting = served.client.post("/v1/jobs", json=[endless(model="demo", max_tokens=100)] * 300).json()["data"][-1]
        watching = threading.Thread(target=watch, args=(waiting["id"],), daemon=True)
        watching.start()
        until(watched.is_set, "the first event")
        served.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(served), "the server to refuse others")
        watching.join(PATIENCE)
        assert not watching.is_alive()
    asking.join(PATIENCE)
    assert answers[0].status_code == 200
    assert answers[0].json()["usage"]["completion_tokens"] == LONG["max_tokens"]
    assert "result" not in [event["event"] for event in events]
    assert served.process.wait(PATIENCE) == 0
    with closing(Store(served.captionq.settings)) as store:
        assert store.job(waiting["id"]).status == JobStatus.QUEUED
    with serving(served.captionq.settings, "--no-worker", ready=False) as again:
        assert job(again, waiting["id"])["status"] == "queued"


def test_a_model_that_runs_one_request_at_a_time_is_reported(hasty: Served) -> None:
    """The worker that has loaded it reports it, and so does the list of models."""
    asked = hasty.client.post("/v1/jobs", json=hello()).json()
    assert ended(hasty, asked["id"])["status"] == "succeeded"

    def workers() -> list[tuple[str, str, int]]:
        found = hasty.client.get("/readyz").json()["workers"]
        return [(one["model"], one["batching"], one["slots"]) for one in found]

    until(lambda: workers() == [("demo-text", "alone", 1)], "the worker's report")
    assert hasty.client.get("/v1/models/demo-text").json()["batching"] == "alone"


def test_late_answers_of_a_stopping_server_end_with_an_error(settings: Settings) -> None:
    """The error has the one shape, and asks clients not to repeat the request: the jobs resume at the next start."""
    with serving(settings, "--no-worker", ready=False, CAPTIONQ_GRACE="0") as served, closing(Store(settings)) as store:
        connection = broker.find(settings)
        assert connection is not None
        # A worker that does nothing.
        connection.sadd("rq:workers", "rq:worker:idle")
        publish_state(connection, WorkerState(name="idle", at=1.0), 3600)
        answers: list[httpx2.Response] = []

        def ask(**more: Any) -> None:
            answers.append(httpx2.post(f"{served.url}/v1/chat/completions", json=hello(**more), timeout=300))

        with httpx2.stream("POST", f"{served.url}/v1/chat/completions", json=hello(stream=True), timeout=300) as begun:
            # This stream's headers have been sent, so the error cannot be a status.
            threads = [threading.Thread(target=ask, kwargs=more) for more in ({}, {"stream": True})]
            for thread in threads:
                thread.start()
            until(lambda: "captionq_streams 3.0" in served.client.get("/metrics").text, "all three streams")
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
    """`captionq serve --no-worker` with `captionq work` beside it."""
    drawn = draw_many(1)[0]
    with serving(settings, "--no-worker", ready=False) as served:
        working = served.captionq.start("work")
        until(lambda: served.client.get("/readyz").status_code == 200, "the worker")
        answer = served.client.post("/v1/chat/completions", json=about(data_uri(png(drawn))))
        assert answer.json()["choices"][0]["message"]["content"] == drawn.caption
        working.send_signal(signal.SIGTERM)
        assert ended_process(working).returncode == 0
