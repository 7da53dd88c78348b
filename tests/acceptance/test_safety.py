"""What keeps strangers out of a running `captionq serve`, and its words within."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from jobs.models.prompt_length import TOKEN_CHARACTERS
from jobs.settings import Settings
from tests.support.processes import DATA_FOLDER, Captionq, until
from tests.support.serving import Served, about, serving

pytestmark = pytest.mark.timeout(300)

KEYS = {"laptop": "a-long-secret", "phone": "another-secret"}
HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "my private words"}]}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Without keys; small limits."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("open") / DATA_FOLDER)
    settings.make_folders()
    with serving(
        settings,
        "--no-worker",
        ready=False,
        CAPTIONQ_MAX_BODY_BYTES="100000",
        CAPTIONQ_MAX_UPLOAD_BYTES="200000",
        CAPTIONQ_MAX_WAITING_BULK="3",
        CAPTIONQ_MAX_STREAMS="2",
        CAPTIONQ_MAX_JOBS_PER_REQUEST="2",
        CAPTIONQ_LOG_PROMPTS="true",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With keys, and its log in JSON."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("keyed") / DATA_FOLDER)
    settings.make_folders()
    with serving(
        settings, "--log-json", CAPTIONQ_API_KEYS=json.dumps(KEYS), CAPTIONQ_MAX_PROMPT_TOKENS="100"
    ) as running:
        yield running


def test_an_address_that_others_reach_needs_keys(settings: Settings) -> None:
    """It does not start without."""
    started = Captionq(settings).run("serve", "--host", "0.0.0.0", "--port", "0")
    assert started.returncode == 1
    assert "CAPTIONQ_API_KEYS" in started.stderr


def test_a_key_is_asked_for_where_there_are_keys(keyed: Served) -> None:
    """Everywhere but where machines ask for health."""
    for path in ("/v1/models", "/v1/jobs", "/v1/files", "/metrics"):
        assert keyed.client.get(path).status_code == 401
        assert keyed.client.get(path, headers={"Authorization": "Bearer"}).status_code == 401
        wrong = keyed.client.get(path, headers={"Authorization": "Bearer a-long-secre"})
        assert wrong.status_code == 401
        assert wrong.headers["www-authenticate"] == "Bearer"
        assert set(wrong.json()["error"]) == {"message", "type", "param", "code"}
        assert keyed.client.get(path, headers={"Authorization": "Bearer another-secret"}).status_code == 200
    assert keyed.client.get("/healthz").status_code == 200
    assert keyed.client.get("/readyz").status_code == 200


def test_a_key_is_asked_for_before_a_body_is_read(keyed: Served) -> None:
    """A stranger's upload is not taken in to be thrown away."""
    broken = keyed.client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 401
    host, port = keyed.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: 1900000000\r\n\r\n".encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 401")


def test_the_log_names_the_caller_and_the_request_and_nothing_private(keyed: Served) -> None:
    """One object a line; neither keys nor prompts nor answers."""
    response = keyed.client.post(
        "/v1/chat/completions",
        json=HELLO,
        headers={"Authorization": "Bearer a-long-secret", "X-Request-ID": "mine-1"},
    )
    assert response.status_code == 200
    assert response.headers["x-request-id"] == "mine-1"
    # The line is written when the answer has been sent.
    until(lambda: "mine-1" in keyed.said(), "the line")
    lines = [json.loads(line) for line in keyed.said().splitlines()]
    line = next(line for line in lines if line.get("request") == "mine-1")
    assert line["caller"] == "laptop"
    assert line["job"].startswith("job_")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    for word in ("a-long-secret", "private words", response.json()["choices"][0]["message"]["content"]):
        assert word not in keyed.said()
        assert word not in (keyed.captionq.settings.log_dir / "serve.log").read_text()
        assert word not in (keyed.captionq.settings.log_dir / "worker.log").read_text()


def test_a_prompt_that_is_too_long_says_so(keyed: Served) -> None:
    """By its own code, with both numbers."""
    body = {**HELLO, "messages": [{"role": "user", "content": "word " * 200}]}
    refused = keyed.client.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer a-long-secret"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "100" in refused.json()["error"]["message"]


def test_a_prompt_that_is_too_long_by_its_characters_is_never_queued(keyed: Served) -> None:
    """No worker tokenises it, and no row holds it."""
    headers = {"Authorization": "Bearer a-long-secret"}
    before = keyed.client.get("/v1/jobs", headers=headers).json()["first_id"]
    text = "a" * (100 * TOKEN_CHARACTERS + 1)
    body = {**HELLO, "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
    for route in ("/v1/jobs", "/v1/chat/completions"):
        refused = keyed.client.post(route, json=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "12801 characters" in refused.json()["error"]["message"]
    assert keyed.client.get("/v1/jobs", headers=headers).json()["first_id"] == before


def test_pages_of_other_sites_are_refused(open_server: Served) -> None:
    """A name that resolves to loopback, and a page that posts a form."""
    assert open_server.client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403
    assert open_server.client.get("/v1/models", headers={"Origin": "https://evil.example"}).status_code == 403
    for odd in ("[", "127.0.0.1.evil.example", "", "2130706433"):
        assert open_server.client.get("/v1/models", headers={"Host": odd}).status_code in (400, 403)
    assert open_server.client.get("/v1/models", headers={"Origin": "http://["}).status_code == 403
    own = open_server.url
    assert open_server.client.get("/v1/models", headers={"Origin": own}).status_code == 200
    port = open_server.url.rsplit(":", maxsplit=1)[1]
    assert open_server.client.get("/v1/models", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_a_body_that_is_too_large_is_refused(open_server: Served) -> None:
    """By what is said of it, and by what comes."""
    # Hardly more than what is too much: an answer to a client that still sends may get lost on its way.
    large = about("x" * 100_000)
    assert open_server.client.post("/v1/jobs", json=large).status_code == 413
    pieces = (b"x" * 50_000, b"x" * 50_001)
    refused = open_server.client.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "request_too_large"
    upload = {"files": ("a.png", b"x" * 200_000)}
    assert open_server.client.post("/v1/folders", files=upload).status_code == 413


def test_without_a_worker_nobody_is_kept_waiting(open_server: Served) -> None:
    """503 and when to come back; jobs are queued all the same."""
    refused = open_server.client.post("/v1/chat/completions", json=HELLO)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    ready = open_server.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["broker"] is True


@contextmanager
def all_places_taken(served: Served, address: str) -> Iterator[None]:
    """Two streams are open, as many as may be; at the end the server has noticed that they are not any more."""
    with ExitStack() as stack:
        streams = [stack.enter_context(served.client.stream("GET", address)) for _ in range(2)]
        assert [stream.status_code for stream in streams] == [200, 200]
        yield
    until(lambda: "\ncaptionq_streams 0.0\n" in served.client.get("/metrics").text, "the places to be free")


def test_a_full_lane_says_when_to_come_back(open_server: Served) -> None:
    """429, and what there was room for waits."""
    ids = []
    while (made := open_server.client.post("/v1/jobs", json=HELLO)).status_code == 201:
        ids.append(made.json()["id"])
    assert len(ids) == 3
    assert made.status_code == 429
    assert made.json()["error"]["code"] == "queue_full"
    assert int(made.headers["retry-after"]) >= 1
    with all_places_taken(open_server, f"/v1/jobs/{ids[0]}/events"):
        third = open_server.client.get(f"/v1/jobs/{ids[0]}/events")
        assert third.status_code == 429
        assert third.json()["error"]["code"] == "too_many_streams"
    for job_id in ids:
        assert open_server.client.delete(f"/v1/jobs/{job_id}").status_code == 200


def test_a_list_that_is_too_long_is_refused(open_server: Served) -> None:
    """With the setting that says so; the longest one that may be is queued."""
    long = open_server.client.post("/v1/jobs", json=[HELLO] * 3)
    assert long.status_code == 400
    assert "CAPTIONQ_MAX_JOBS_PER_REQUEST" in long.json()["error"]["message"]
    made = open_server.client.post("/v1/jobs", json=[HELLO] * 2)
    assert made.status_code == 201
    for job in made.json()["data"]:
        open_server.client.delete(f"/v1/jobs/{job['id']}")


def test_prompts_are_logged_where_that_is_wanted(open_server: Served) -> None:
    """Their words, never their images."""
    image = "data:image/png;base64,aaaabbbbccccddddeeee"
    open_server.client.post("/v1/jobs", json=about(image, text="my secret question"))
    job = open_server.client.post("/v1/jobs", json=HELLO).json()
    until(lambda: "my private words" in open_server.said(), "the line")
    assert "aaaabbbb" not in open_server.said()
    open_server.client.delete(f"/v1/jobs/{job['id']}")


def test_streams_of_folders_are_counted_too(open_server: Served) -> None:
    """All kinds together."""
    folder = open_server.client.post("/v1/folders", files={"files": ("a.png", b"not looked at yet")}).json()
    address = f"/v1/folders/{folder['id']}/events"
    with all_places_taken(open_server, address):
        assert open_server.client.get(address).status_code == 429
    open_server.client.delete(f"/v1/folders/{folder['id']}")


def test_a_list_of_nonsense_costs_little(open_server: Served) -> None:
    """It is refused at its first item: the server answers others meanwhile."""
    for body in ("[" + "{}," * 30_000 + "{}]", '{"messages": [' + "{}," * 30_000 + "{}]}"):
        begun = time.monotonic()
        refused = open_server.client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
        assert len(refused.content) < 1000
        assert time.monotonic() - begun < 10


def test_what_is_not_there_is_said_in_the_same_shape(open_server: Served) -> None:
    """Routes, methods, broken JSON."""
    answers = [
        open_server.client.get("/v2/nothing"),
        open_server.client.put("/v1/jobs"),
        open_server.client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}),
        open_server.client.get("/v1/jobs", params={"limit": "many"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 400, 400]
    for answer in answers:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"]


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    """And what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = Captionq(settings).run("serve", "--port", str(port))
    assert started.returncode == 1
    assert str(port) in started.stderr
