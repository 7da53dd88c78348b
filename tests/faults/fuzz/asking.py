"""Sending mutated requests, and checking the shapes of their answers."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.faults.fuzz.mutated_images import mutated_image
from tests.faults.fuzz.mutated_requests import Asked
from tests.support.error_shapes import check_error_of
from tests.support.serving import about, data_uri, events_of

CHAT = "/v1/chat/completions"
#: Requests at a time.
THREADS = 8
#: Seconds after which an answer counts as a hang: more than the longest decoding of an image.
HANG = 90
#: Statuses that refuse a request for its own sake.
REFUSED = {400, 403, 404, 405, 408, 409, 413, 415, 422}


@dataclass
class Findings:
    """What came back."""

    #: Number of answers by their kind: `200`, or a status with a code.
    kinds: Counter[str] = field(default_factory=Counter)
    #: Broken promises, each with what repeats it.
    broken: list[str] = field(default_factory=list)


def ask_all(ask_one: Callable[[int], str], seed: int, count: int) -> Findings:
    """Ask with the seeds from `seed` millions on. Returns what came back."""
    found = Findings()

    def one(seed: int) -> None:
        try:
            found.kinds[ask_one(seed)] += 1
        except Exception as error:  # whatever it is, it is a finding, and the others go on
            found.broken.append(f"seed {seed}: {type(error).__name__}: {error}"[:1000])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(one, range(seed * 1_000_000, seed * 1_000_000 + count)))
    return found


def about_mutated_image(seed: int) -> Asked:
    """Return a question about the mutated image of this seed."""
    suffix, content = mutated_image(seed)
    body = about(data_uri(content, f"image/{suffix}"), max_tokens=1)
    return Asked("POST", CHAT, json.dumps(body).encode(), {"Content-Type": "application/json"})


def ask(url: str, asked: Asked, **headers: str) -> str:
    """Send a request, and check the shape of its answer. Returns the answer's kind."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=HANG)
    try:
        connection.request(asked.method, asked.path, asked.body, _encoded({**headers, **asked.headers}))
        response = connection.getresponse()
        status, kind, body = response.status, response.headers.get_content_type(), response.read()
    finally:
        connection.close()
    words = f"{asked.method} {asked.path} {asked.headers} {(asked.body or b'')[:300]!r}: {status} {body[:500]!r}"
    if status in REFUSED or status in (429, 503, 504, 507):
        assert status in REFUSED, words
        if asked.method != "HEAD" and kind == "application/json":
            check_error_of(asked.path, body)
        else:
            assert asked.method == "HEAD" or asked.path.startswith("/runs/"), words
        return f"{status} {_code(body)}"
    assert status in (200, 201, 204, 303), words
    if kind == "text/event-stream":
        _check_stream(body.decode(), words)
    elif kind == "application/json":
        json.loads(body)
    return "200" if status == 200 else str(status)


def _encoded(headers: dict[str, str]) -> dict[str, Any]:
    return {name: value.encode("latin-1") for name, value in headers.items()}


def _code(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return "(page)"
    return str((error.get("code") or error.get("type")) if isinstance(error, dict) else "(text)")


def _check_stream(text: str, words: str) -> None:
    """Check that a stream came to its end: its last event says so, or is an error."""
    events = list(events_of(iter(text.split("\n"))))
    assert events, words
    last = events[-1]
    ends = {"message_stop", "error", "response.completed", "response.incomplete", "response.failed", "result"}
    assert last.get("data") == "[DONE]" or last.get("event") in ends or "error" in last.get("data", {}), words
