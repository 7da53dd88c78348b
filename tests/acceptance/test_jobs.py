"""`/v1/jobs` of a running `captionq serve`: jobs are made once, followed, resumed, cancelled and retried."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.configuration.settings import Settings
from jobs.queue.events import KEPT_ENDED, Event, publish
from jobs.store.store import Store
from jobs.store.tables import Job, Lane
from tests.acceptance.test_chat import png
from tests.support.processes import until
from tests.support.scenes import draw_many
from tests.support.serving import Served, about, data_uri, endless, events_of, hello, serving

pytestmark = pytest.mark.timeout(300)

#: A picture with a valid header whose pixels are cut off: the worker refuses it permanently.
CUT_OFF = data_uri(png(draw_many(1)[0])[:-100])
SECRET = base64.b64encode(b"a secret of 24 bytes or more").decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("jobs") / "data")
    settings.make_folders()
    with serving(
        settings, CAPTIONQ_WEBHOOK_SECRET=f"whsec_{SECRET}", CAPTIONQ_ALLOWED_NETWORKS='["127.0.0.1/32"]'
    ) as running:
        yield running


def ended(served: Served, job_id: str) -> dict[str, Any]:
    """Wait until the job has ended, and return it."""
    until(lambda: served.client.get(f"/v1/jobs/{job_id}").json()["status"] not in ("queued", "running"), "its end")
    found: dict[str, Any] = served.client.get(f"/v1/jobs/{job_id}").json()
    return found


def test_a_job_is_made_polled_and_has_its_result(served: Served) -> None:
    """The result is the completion that the synchronous route returns."""
    drawn = draw_many(1)[0]
    made = served.client.post("/v1/jobs", json=about(data_uri(png(drawn))))
    assert made.status_code == 201
    job = ended(served, made.json()["id"])
    assert job["status"] == "succeeded"
    assert job["result"]["choices"][0]["message"]["content"] == drawn.caption
    assert job["seconds"]["decode"] > 0


def test_a_list_becomes_a_batch(served: Served) -> None:
    """All jobs of the list are queued, or none; the batch can be listed page by page."""
    pictures = draw_many(5)
    made = served.client.post("/v1/jobs", json=[about(data_uri(png(drawn))) for drawn in pictures]).json()
    batch = made["data"][0]["batch"]
    results = [ended(served, job["id"])["result"]["choices"][0]["message"]["content"] for job in made["data"]]
    assert results == [drawn.caption for drawn in pictures]
    pages: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = served.client.get("/v1/jobs", params={"batch": batch, "limit": 2, "status": "succeeded", **after}).json()
        pages += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert sorted(pages) == sorted(job["id"] for job in made["data"])
    bad = served.client.post("/v1/jobs", json=[hello(), about("ftp://x/y.png")])
    assert bad.status_code == 400
    assert served.client.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["batch"] == batch


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"temperature": 3}, "temperature", "invalid_request_error"),
        ({"stop": 5}, "stop", "invalid_request_error"),
        ({"lane": "fast"}, "lane", "invalid_request_error"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role", "invalid_request_error"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_request_error"),
    ],
)
def test_an_invalid_parameter_of_a_job_is_named(served: Served, more: dict[str, Any], param: str, code: str) -> None:
    """Within a list, the param begins with the job's number."""
    for body, before in ((hello(**more), ""), ([hello(), hello(**more)], "1.")):
        error = served.client.post("/v1/jobs", json=body).json()["error"]
        assert (error["param"], error["code"]) == (before + param, code), error


def test_a_body_without_jobs_is_refused(served: Served) -> None:
    """A body that is neither a job nor a list is refused, and so is an empty list."""
    odds: list[object] = [5, "x", []]
    for odd in odds:
        error = served.client.post("/v1/jobs", json=odd).json()["error"]
        assert (error["param"], error["code"]) == (None, "invalid_request_error")
    assert served.client.post("/v1/folders", json={}).json()["error"]["param"] == "path"


def test_an_interactive_answer_goes_ahead_of_a_full_batch(served: Served) -> None:
    """The answer comes before any of the jobs that fill the batch has ended."""
    served.client.post("/v1/chat/completions", json=hello())
    jobs = served.client.post("/v1/jobs", json=[endless()] * 60).json()["data"]
    batch = {"batch": jobs[0]["batch"], "limit": 100}
    slots = served.captionq.settings.slots
    served.next_state(lambda state: state.rows == slots, "the batch to be full")
    answer = served.client.post("/v1/chat/completions", json=hello())
    found = served.client.get("/v1/jobs", params=batch).json()["data"]
    for job in jobs:
        served.client.delete(f"/v1/jobs/{job['id']}")
    assert answer.status_code == 200
    assert {job["status"] for job in found} == {"queued", "running"}


def test_an_answer_that_looks_wrong_is_marked(served: Served) -> None:
    """The mark gets from the engine to the client; a good answer has none."""
    bodies = (hello(max_tokens=60, logit_bias={"300": 100}), hello())
    loop, fine = (served.client.post("/v1/jobs", json=body).json() for body in bodies)
    assert ended(served, loop["id"])["quality"] == "repetition"
    assert ended(served, fine["id"])["quality"] is None


def test_the_same_key_gives_the_same_job(served: Served) -> None:
    """The rule holds for simultaneous requests too. Another request with the key is refused; other routes have their own keys."""
    key = {"Idempotency-Key": "one"}
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(served.client.post("/v1/jobs", json=hello(), headers=key)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    other = served.client.post("/v1/jobs", json=hello(max_tokens=3), headers=key)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    lists = [served.client.post("/v1/jobs", json=[hello()], headers=key) for _ in range(2)]
    assert [answer.status_code for answer in lists] == [201, 200]
    assert lists[0].json()["data"][0]["id"] == lists[1].json()["data"][0]["id"]
    uploads = [
        served.client.post("/v1/files", files={"file": png(drawn)}, data={"purpose": "vision"}, headers=key)
        for drawn in (*draw_many(1), *draw_many(2))
    ]
    assert [answer.status_code for answer in uploads] == [200, 200, 409]
    assert uploads[0].json() == uploads[1].json()
    chats = [served.client.post("/v1/chat/completions", json=hello(), headers=key).json() for _ in range(2)]
    assert chats[0] == chats[1]


def test_events_follow_a_job_from_the_queue_to_its_result(served: Served) -> None:
    """Each event has an id. The text of the tokens is the beginning of the result's text."""
    job = served.client.post("/v1/jobs", json=hello()).json()
    with served.client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        events = list(events_of(response.iter_lines()))
    assert all("id" in event for event in events)
    names = [event["event"] for event in events]
    assert names[-1] == "result"
    assert {"state", "tokens"} <= set(names)
    said = "".join(event["data"]["text"] for event in events if event["event"] == "tokens")
    text = events[-1]["data"]["result"]["choices"][0]["message"]["content"]
    assert text.startswith(said)
    assert served.client.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": "end"}).status_code == 204


def test_a_stream_is_resumed_without_loss_or_repeat(served: Served) -> None:
    """After any event, the events so far and the events of the resumed stream are the whole stream, each event once."""
    job = served.client.post("/v1/jobs", json=endless(max_tokens=60)).json()
    ended(served, job["id"])
    with served.client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        whole = list(events_of(response.iter_lines()))
    assert len(whole) > 3
    for number, event in enumerate(whole[:-1]):
        with served.client.stream(
            "GET", f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": event["id"]}
        ) as response:
            assert list(events_of(response.iter_lines())) == whole[number + 1 :]


def test_a_stream_that_is_not_kept_any_more_still_ends_with_the_result(served: Served) -> None:
    """Minutes after the end only the row is left: a client that resumes gets its result."""
    job = served.client.post("/v1/jobs", json=hello()).json()
    ended(served, job["id"])
    path = f"/v1/jobs/{job['id']}/events"
    with served.client.stream("GET", path) as response:
        whole = list(events_of(response.iter_lines()))
    key = f"captionq:events:{job['id']}"
    with served.broker() as connection:
        assert 0 < connection.ttl(key) <= KEPT_ENDED
        connection.delete(key)
    with served.client.stream("GET", path, headers={"Last-Event-ID": whole[0]["id"]}) as response:
        events = list(events_of(response.iter_lines()))
    assert events[-1] == whole[-1]
    assert "tokens" not in [event["event"] for event in events]


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "127.0.0.2", "127.2", "0xa9fea9fe"])
def test_an_address_that_may_not_be_contacted_is_refused_when_it_comes(served: Served, host: str) -> None:
    """The refusal comes with the request, not when the job runs or after three days of attempts, for images and webhooks."""
    for body in (about(f"https://{host}/x.png"), hello(webhook=f"https://{host}/hook")):
        refused = served.client.post("/v1/jobs", json=body)
        assert refused.status_code == 403, refused.text
        assert refused.json()["error"]["code"] == "address_forbidden"


def test_a_second_attempt_begins_with_restart(served: Served) -> None:
    """A client that follows the events discards the text before `restart`."""
    job = Job(lane=Lane.BULK, model="demo-text", request="{}", digest="x", streamed=True)
    said = (("tokens", {"text": "He", "at": 0, "attempt": 1}), ("restart", {"attempt": 2}))
    with closing(Store(served.captionq.settings)) as store, served.broker() as connection:
        store.add([job])
        store.claim([job.id], "another")
        publish(connection, [Event(job.id, name, data) for name, data in said])
    events = []
    with served.client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
        for event in events_of(response.iter_lines()):
            events.append(event)
            if event["event"] == "restart":
                served.client.delete(f"/v1/jobs/{job.id}")
    names = [event["event"] for event in events]
    assert names.index("tokens") < names.index("restart") < names.index("result")
    assert events[-1]["data"]["status"] == "cancelled"


def test_a_running_job_is_cancelled_within_a_step(served: Served) -> None:
    """Its slot is free at once, not when its answer would have ended."""
    with served.cut_short():
        job = served.client.post("/v1/jobs", json=endless()).json()
        served.first_text(job["id"])
        with served.paused():
            cancelled = served.client.delete(f"/v1/jobs/{job['id']}")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert served.client.delete(f"/v1/jobs/{job['id']}").status_code == 200
    again = served.client.post(f"/v1/jobs/{job['id']}/retry", headers={"Idempotency-Key": "again"})
    assert again.status_code == 201
    assert again.json()["id"] != job["id"]
    twice = served.client.post(f"/v1/jobs/{job['id']}/retry", headers={"Idempotency-Key": "again"})
    assert twice.json()["id"] == again.json()["id"]
    served.client.delete(f"/v1/jobs/{again.json()['id']}")


def test_a_retry_with_one_key_is_made_once(served: Served) -> None:
    """The rule holds for simultaneous requests too."""
    job = served.client.post("/v1/jobs", json=about(CUT_OFF)).json()
    assert ended(served, job["id"])["status"] == "failed"
    answers: list[Any] = []
    key = {"Idempotency-Key": "once"}
    threads = [
        threading.Thread(target=lambda: answers.append(served.client.post(f"/v1/jobs/{job['id']}/retry", headers=key)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("output", [None, "file:///etc/hostname.txt"])
def test_jobs_on_files_that_are_not_served_cannot_be_retried(served: Served, output: str | None) -> None:
    """The command line may read such files, with or without a text file; an HTTP client may not."""
    job = Job(model="demo", request="{}", digest="x", source="file:///etc/hostname.png", output=output)
    with closing(Store(served.captionq.settings)) as store:
        store.add([job])
        store.cancel([job.id])
    refused = served.client.post(f"/v1/jobs/{job.id}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_a_job_that_succeeded_is_neither_cancelled_nor_retried(served: Served) -> None:
    """The answer is 409, and 404 for an unknown job."""
    job = served.client.post("/v1/jobs", json=hello()).json()
    ended(served, job["id"])
    assert served.client.delete(f"/v1/jobs/{job['id']}").status_code == 409
    assert served.client.post(f"/v1/jobs/{job['id']}/retry").status_code == 409
    for path in ("", "/events"):
        assert served.client.get(f"/v1/jobs/job_unknown{path}").status_code == 404


def test_a_bad_image_fails_its_own_job_with_its_reason(served: Served) -> None:
    """A defect behind the header is only found when the worker decodes the image."""
    job = served.client.post("/v1/jobs", json=about(CUT_OFF)).json()
    found = ended(served, job["id"])
    assert found["status"] == "failed"
    assert set(found["error"]) == {"message", "type", "param", "code"}
    assert found["result"] is None


def test_metrics_count_the_work(served: Served) -> None:
    """The metrics have the queue, the jobs, the worker's tokens, steps, sequences and memory, and the times of requests."""
    with served.client.stream("POST", "/v1/chat/completions", json=hello(stream=True)) as response:
        assert list(response.iter_lines())

    def figures() -> dict[str, float]:
        families = text_string_to_metric_families(served.client.get("/metrics").text)
        return {
            " ".join([sample.name, *(value for name, value in sample.labels.items() if name != "worker")]): sample.value
            for family in families
            for sample in family.samples
        }

    # The worker publishes its metrics once a second.
    until(lambda: figures().get("captionq_jobs_ended_total interactive succeeded", 0) > 0, "the worker's metrics")
    found = figures()
    assert {"captionq_queue_depth interactive", "captionq_queue_depth bulk", "captionq_batch_rows"} <= set(found)
    for name in (
        "captionq_jobs succeeded",
        "captionq_workers",
        "captionq_tokens_total prompt",
        "captionq_tokens_total completion",
        "captionq_step_seconds_count",
        "captionq_step_seconds_sum",
        "captionq_step_seconds_bucket +Inf",
        "captionq_batch_slots",
        "captionq_memory_bytes peak",
        "captionq_job_seconds_count interactive decode",
        "captionq_http_requests_total POST /v1/chat/completions 200",
        "captionq_http_request_seconds_count POST /v1/chat/completions",
        "captionq_http_first_token_seconds_count",
    ):
        assert found.get(name, 0) > 0, (name, sorted(found))


#: Headers and bodies of received messages. A message that is not answered in time comes again.
Messages = list[tuple[dict[str, str], bytes]]


class Receiver(BaseHTTPRequestHandler):
    """A handler that keeps the messages it is sent."""

    messages: Messages

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.messages.append((headers, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextmanager
def receiving() -> Iterator[tuple[str, Messages]]:
    """Run a receiver; yield its address, which has a secret in it, and the messages that it is sent."""
    messages: Messages = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Receiver,), {"messages": messages}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?token=secret", messages
    finally:
        server.shutdown()
        server.server_close()


def message_about(made: str, messages: Messages) -> tuple[dict[str, str], bytes]:
    """Wait for the first message about this job or folder, and return it."""

    def found() -> Iterator[tuple[dict[str, str], bytes]]:
        return (one for one in list(messages) if json.loads(one[1])["data"]["id"] == made)

    until(lambda: any(found()), "the message")
    return next(found())


def test_a_webhook_gets_the_job_that_polling_shows(served: Served) -> None:
    """The message is signed. A folder's message comes when all of it has ended."""
    with receiving() as (url, messages):
        job = served.client.post("/v1/jobs", json=hello(webhook=url)).json()
        headers, body = message_about(job["id"], messages)
        folder = served.client.post(
            "/v1/folders",
            files={"files": ("a.png", png(draw_many(1)[0]))},
            data={"options": json.dumps({"webhook": url})},
        ).json()
        message_about(folder["id"], messages)
    message = json.loads(body)
    assert message["type"] == "job.succeeded"
    assert message["data"] == served.client.get(f"/v1/jobs/{job['id']}").json()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(base64.b64decode(SECRET), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert "secret" not in served.log_text()
    refused = served.client.post("/v1/jobs", json=hello(webhook="https://user:pass@example.org/"))
    assert refused.status_code == 400
