"""The security of a running `captionq serve`: keys, limits, other sites, and logs without private words."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from jobs.configuration.settings import Settings
from jobs.models.prompt_length import TOKEN_CHARACTERS
from tests.support.processes import DATA_FOLDER, Captionq, until
from tests.support.serving import Served, about, serving

pytestmark = pytest.mark.timeout(300)

KEYS = {"laptop": "a-long-secret", "phone": "another-secret"}
FRIEND = "http://localhost:3000"
HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "my private words"}]}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without keys, with small limits."""
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
        CAPTIONQ_ALLOWED_ORIGINS=json.dumps([FRIEND]),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with keys, whose log is JSON."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("keyed") / DATA_FOLDER)
    settings.make_folders()
    with serving(
        settings,
        "--log-json",
        "--allow-origin",
        FRIEND,
        CAPTIONQ_API_KEYS=json.dumps(KEYS),
        CAPTIONQ_MAX_PROMPT_TOKENS="100",
        CAPTIONQ_STRICT="1",
    ) as running:
        yield running


def test_an_address_that_others_reach_needs_keys(settings: Settings) -> None:
    """The server does not start without keys."""
    started = Captionq(settings).run("serve", "--host", "0.0.0.0", "--port", "0")
    assert started.returncode == 1
    assert "CAPTIONQ_API_KEYS" in started.stderr


def test_a_key_is_required_if_keys_are_set(keyed: Served) -> None:
    """Only health checks need no key."""
    for path in ("/v1/models", "/v1/jobs", "/v1/files", "/metrics"):
        assert keyed.client.get(path).status_code == 401
        assert keyed.client.get(path, headers={"Authorization": "Bearer"}).status_code == 401
        wrong = keyed.client.get(path, headers={"Authorization": "Bearer a-long-secre"})
        assert wrong.status_code == 401
        assert wrong.headers["www-authenticate"] == "Bearer"
        assert set(wrong.json()["error"]) == {"message", "type", "param", "code"}
        assert keyed.client.get(path, headers={"Authorization": "Bearer another-secret"}).status_code == 200
    assert keyed.client.get("/healthz").status_code == 200
    # Some monitors look at the status only.
    assert [keyed.client.head(path).status_code for path in ("/health", "/healthz", "/readyz")] == [200] * 3
    assert keyed.client.get("/readyz").status_code == 200


def test_a_key_is_checked_before_a_body_is_read(keyed: Served) -> None:
    """A stranger's upload is not received first and refused then."""
    broken = keyed.client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 401
    host, port = keyed.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: 1900000000\r\n\r\n".encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 401")


def test_the_log_names_the_caller_and_the_request_and_nothing_private(keyed: Served) -> None:
    """Each line is an object, without keys, prompts or answers."""
    response = keyed.client.post(
        "/v1/chat/completions",
        json=HELLO,
        headers={"Authorization": "Bearer a-long-secret", "X-Request-ID": "mine-1"},
    )
    assert response.status_code == 200
    assert response.headers["x-request-id"] == "mine-1"
    # The line is written after the answer has been sent.
    until(lambda: "mine-1" in keyed.log_text(), "the line")
    lines = [json.loads(line) for line in keyed.log_text().splitlines()]
    line = next(line for line in lines if line.get("request") == "mine-1")
    assert line["caller"] == "laptop"
    assert line["job"].startswith("job_")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    for word in ("a-long-secret", "private words", response.json()["choices"][0]["message"]["content"]):
        assert word not in keyed.log_text()
        assert word not in (keyed.captionq.settings.log_dir / "serve.log").read_text()
        assert word not in (keyed.captionq.settings.log_dir / "worker.log").read_text()


def test_a_prompt_that_is_too_long_says_so(keyed: Served) -> None:
    """The error has its own code, and both numbers."""
    body = {**HELLO, "messages": [{"role": "user", "content": "word " * 200}]}
    refused = keyed.client.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer a-long-secret"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "100" in refused.json()["error"]["message"]


def test_a_prompt_that_is_too_long_by_its_characters_is_never_queued(keyed: Served) -> None:
    """No worker tokenises the prompt, and no row holds it."""
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
    """Refused are a host name that resolves to loopback, and a page that posts a form."""
    evil = open_server.client.get("/v1/models", headers={"Host": "evil.example"})
    assert evil.status_code == 403
    assert evil.json()["error"]["message"] == (
        "Requests for host 'evil.example' are refused while no API key is set. "
        f"Set CAPTIONQ_API_KEYS, or call {open_server.url}."
    )
    assert open_server.client.get("/v1/models", headers={"Origin": "https://evil.example"}).status_code == 403
    for odd in ("[", "127.0.0.1.evil.example", "", "2130706433"):
        assert open_server.client.get("/v1/models", headers={"Host": odd}).status_code in (400, 403)
    assert open_server.client.get("/v1/models", headers={"Origin": "http://["}).status_code == 403
    own = open_server.url
    assert open_server.client.get("/v1/models", headers={"Origin": own}).status_code == 200
    port = open_server.url.rsplit(":", maxsplit=1)[1]
    assert open_server.client.get("/v1/models", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_pages_of_allowed_origins_are_answered(open_server: Served, keyed: Served) -> None:
    """A preflight needs no key, and the page may read the answer, also an error. Other pages and hosts are refused as before."""
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for served, expected in ((open_server, 200), (keyed, 401)):
        preflight = served.client.options("/v1/chat/completions", headers={"Origin": FRIEND, **asks})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, FRIEND)
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = served.client.get("/v1/models", headers={"Origin": FRIEND})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (expected, FRIEND)
        assert "x-captionq-ignored" in answer.headers["access-control-expose-headers"]
        stranger = served.client.options("/v1/models", headers={"Origin": "https://evil.example", **asks})
        assert stranger.status_code == 400
        assert "access-control-allow-origin" not in stranger.headers
    assert open_server.client.get("/v1/models", headers={"Origin": f"{FRIEND}0"}).status_code == 403
    assert open_server.client.get("/v1/models", headers={"Origin": FRIEND, "Host": "evil.example"}).status_code == 403


def test_a_strict_server_refuses_what_it_would_ignore(keyed: Served) -> None:
    """The refused field is named, and not its neighbour. Values that ask for nothing are accepted."""
    headers = {"Authorization": "Bearer a-long-secret"}
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]
    messages = [{"role": "user", "content": texts}]
    for path, body, param in (
        ("chat/completions", {**HELLO, "messages": messages}, "messages.0.content.1.cache_control"),
        ("jobs", [HELLO, {**HELLO, "num_ctx": 1}], "1.num_ctx"),
    ):
        error = keyed.client.post(f"/v1/{path}", json=body, headers=headers).json()["error"]
        assert (error["param"], error["code"]) == (param, "unknown_parameter")
    neutral = {**HELLO, "seed": -1, "store": False, "max_tokens": 8.0}
    assert keyed.client.post("/v1/chat/completions", json=neutral, headers=headers).status_code == 200


def test_the_log_says_what_a_client_wanted_and_why_it_was_refused(open_server: Served) -> None:
    """An unknown path is quoted and cut; the reason of a refusal is the message that the client got."""
    assert open_server.client.get("/nothing").status_code == 404
    assert open_server.client.post("/api/generate%0a%1b[31m" + "x" * 300, json={}).status_code == 404
    assert open_server.client.get("/v1/models", headers={"Host": "mac.local:8484"}).status_code == 403
    assert open_server.client.get("/health").json() == open_server.client.get("/healthz").json()
    until(lambda: "'mac.local'" in open_server.log_text(), "the last line")
    log = open_server.log_text()
    assert "path=/nothing status=404" in log
    assert "reason='Not found: /nothing. The API is at /v1, its description at /openapi.json.'" in log
    assert "path=/api/generate%0A%1B%5B31mxxx" in log
    assert "x" * 201 not in log
    assert "Set CAPTIONQ_API_KEYS, or call http://127.0.0.1:" in log
    assert "route=/health " not in log


def test_a_body_that_is_too_large_is_refused(open_server: Served) -> None:
    """The body is refused by its Content-Length, and by the bytes that arrive."""
    # Only just too large: the answer to a client that still sends may get lost.
    large = about("x" * 100_000)
    assert open_server.client.post("/v1/jobs", json=large).status_code == 413
    pieces = (b"x" * 50_000, b"x" * 50_001)
    refused = open_server.client.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "request_too_large"
    upload = {"files": ("a.png", b"x" * 200_000)}
    assert open_server.client.post("/v1/folders", files=upload).status_code == 413


def test_without_a_worker_a_chat_is_refused_at_once(open_server: Served) -> None:
    """The answer is 503 with Retry-After, and names the way out."""
    refused = open_server.client.post("/v1/chat/completions", json=HELLO)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["message"].startswith("No worker is ready. captionq serve needs some seconds")
    ready = open_server.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["broker"] is True


@contextmanager
def all_streams_open(served: Served, address: str) -> Iterator[None]:
    """Open two streams, the limit, for the block; then wait until the server has noticed that they are closed."""
    with ExitStack() as stack:
        streams = [stack.enter_context(served.client.stream("GET", address)) for _ in range(2)]
        assert [stream.status_code for stream in streams] == [200, 200]
        yield
    until(lambda: "\ncaptionq_streams 0.0\n" in served.client.get("/metrics").text, "the streams to be closed")


def test_a_full_lane_says_when_to_come_back(open_server: Served) -> None:
    """The answer is 429 with Retry-After. The jobs before it wait in the lane."""
    ids = []
    while (made := open_server.client.post("/v1/jobs", json=HELLO)).status_code == 201:
        ids.append(made.json()["id"])
    assert len(ids) == 3
    assert made.status_code == 429
    assert made.json()["error"]["code"] == "queue_full"
    assert int(made.headers["retry-after"]) >= 1
    with all_streams_open(open_server, f"/v1/jobs/{ids[0]}/events"):
        third = open_server.client.get(f"/v1/jobs/{ids[0]}/events")
        assert third.status_code == 429
        assert third.json()["error"]["code"] == "too_many_streams"
    for job_id in ids:
        assert open_server.client.delete(f"/v1/jobs/{job_id}").status_code == 200


def test_a_list_that_is_too_long_is_refused(open_server: Served) -> None:
    """The error names the setting. The longest allowed list is queued."""
    long = open_server.client.post("/v1/jobs", json=[HELLO] * 3)
    assert long.status_code == 400
    assert "CAPTIONQ_MAX_JOBS_PER_REQUEST" in long.json()["error"]["message"]
    made = open_server.client.post("/v1/jobs", json=[HELLO] * 2)
    assert made.status_code == 201
    for job in made.json()["data"]:
        open_server.client.delete(f"/v1/jobs/{job['id']}")


def test_prompts_are_logged_if_the_setting_is_on(open_server: Served) -> None:
    """The log has the words of prompts, never their images."""
    image = "data:image/png;base64,aaaabbbbccccddddeeee"
    open_server.client.post("/v1/jobs", json=about(image, text="my secret question"))
    job = open_server.client.post("/v1/jobs", json=HELLO).json()
    until(lambda: "my private words" in open_server.log_text(), "the line")
    assert "aaaabbbb" not in open_server.log_text()
    open_server.client.delete(f"/v1/jobs/{job['id']}")


def test_streams_of_folders_are_counted_too(open_server: Served) -> None:
    """One limit holds for all kinds of streams together."""
    folder = open_server.client.post("/v1/folders", files={"files": ("a.png", b"not looked at yet")}).json()
    address = f"/v1/folders/{folder['id']}/events"
    with all_streams_open(open_server, address):
        assert open_server.client.get(address).status_code == 429
    open_server.client.delete(f"/v1/folders/{folder['id']}")


def test_a_list_of_nonsense_costs_little(open_server: Served) -> None:
    """The list is refused at its first item, so that the server soon answers others."""
    for body in ("[" + "{}," * 30_000 + "{}]", '{"messages": [' + "{}," * 30_000 + "{}]}"):
        begun = time.monotonic()
        refused = open_server.client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
        assert len(refused.content) < 1000
        assert time.monotonic() - begun < 10


def test_unknown_routes_and_methods_are_errors_in_the_same_shape(open_server: Served) -> None:
    """So are broken JSON and invalid query parameters. Each message names the way out."""
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
    assert [answer.json()["error"]["message"] for answer in answers[:3]] == [
        "Not found: /v2/nothing. The API is at /v1, its description at /openapi.json.",
        "PUT is not allowed here; use GET or POST.",
        "The body is not valid JSON (EOF while parsing an object at line 1 column 1).",
    ]


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    """The message names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = Captionq(settings).run("serve", "--port", str(port))
    assert started.returncode == 1
    assert str(port) in started.stderr
