"""Requests outside of every schema, each with the status that it must be answered with."""

from __future__ import annotations

import json
from typing import Any

#: Half of a surrogate pair: valid in JSON, not in UTF-8.
HALF = "\ud800"
CHAT = "/v1/chat/completions"
_JSON: dict[str, str | bytes] = {"Content-Type": "application/json"}
_MULTIPART: dict[str, str | bytes] = {"Content-Type": "multipart/form-data; boundary=BB"}
_PURPOSE = (b'Content-Disposition: form-data; name="purpose"', b"vision")

#: The routes of other dialects, and the field that holds the conversation.
DIALECTS = {
    "/api/chat": b'"messages"',
    "/v1/messages": b'"messages"',
    "/v1/responses": b'"input"',
}
#: Oddities that no dialect accepts, whatever its fields.
NEVER_JSON = ("nothing", "null", "NaN", "100,000 levels", "no UTF-8", "UTF-16", "half a pair in a text")
#: Method, path, body, headers, status.
Odd = tuple[str, str, bytes | None, dict[str, str | bytes], int]


def odd_requests(job: str, file: str, picture: bytes) -> dict[str, Odd]:
    """Return requests by their oddity.

    Args:
        job: the id of a job that has ended.
        file: the id of an upload.
        picture: the bytes of a valid image.
    """
    found: dict[str, Odd] = {}
    for path in (CHAT, "/v1/jobs"):
        found |= {f"{path} {name}": ("POST", path, body, _JSON, 400) for name, body in _bodies().items()}
    for path, asked in DIALECTS.items():
        bodies = {name: _bodies()[name].replace(b'"messages"', asked) for name in NEVER_JSON}
        found |= {f"{path} {name}": ("POST", path, body, _JSON, 400) for name, body in bodies.items()}
    found |= {
        f"folder {name}": ("POST", "/v1/folders", json.dumps(body).encode(), _JSON, status)
        for name, (body, status) in _folders().items()
    }
    found |= {
        f"upload {name}": ("POST", "/v1/files", body, {**_MULTIPART, **headers}, status)
        for name, (body, headers, status) in _uploads(picture).items()
    }
    for name in ("%00", "%ff", "%ed%a0%80", "'", "a%0a", "a" * 65, "%zz", "%2e%2e"):
        found |= {f"{kind} {name[:20]}": ("GET", f"/v1/{kind}/{name}/{end}", None, {}, 400) for kind, end in _BELOW}
        found[f"model {name[:20]}"] = ("GET", f"/v1/models/{name}", None, {}, 404)
    return found | _headers(job, file)


_BELOW = (("jobs", "events"), ("files", "content"), ("folders", "results"))


def _chat(**more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, **more}).encode()


def _bodies() -> dict[str, bytes]:
    hello = _chat()
    schema = {"name": "x", "schema": {"type": "object", "description": HALF}}
    return {
        "nothing": b"",
        "null": b"null",
        "NaN": hello.replace(b"1}", b'1,"temperature":NaN}'),
        "infinite": hello.replace(b"1}", b'1,"temperature":1e999}'),
        "number of 400 digits": hello.replace(b"1}", b'1,"seed":' + b"9" * 400 + b"}"),
        "number of 5000 digits": hello.replace(b"1}", b'1,"seed":' + b"9" * 5000 + b"}"),
        "100,000 levels": b"[" * 100_000,
        "no UTF-8": hello.replace(b"Hello", b"\xff"),
        "UTF-16": hello.decode().encode("utf-16"),
        "string for a boolean": _chat(logprobs="true"),
        "half a pair in a text": _chat(messages=[{"role": "user", "content": HALF}]),
        "half a pair as the model": _chat(model=HALF),
        "half a pair as a name": _chat(**{HALF: 1}),
        "half a pair in a schema": _chat(response_format={"type": "json_schema", "json_schema": schema}),
    }


def _folders() -> dict[str, tuple[dict[str, Any], int]]:
    return {
        "half a pair": ({"path": HALF}, 400),
        "NUL": ({"path": "/\0"}, 403),
        "nobody's home": ({"path": "~nobody-of-this-name/x"}, 403),
        "long name": ({"path": "/" + "a" * 4000}, 403),
    }


def _uploads(picture: bytes) -> dict[str, tuple[bytes, dict[str, str | bytes], int]]:
    def named(name: bytes) -> bytes:
        return _multipart(_PURPOSE, (b'Content-Disposition: form-data; name="file"; filename=' + name, picture))

    return {
        "empty": (b"", {}, 400),
        "without parts": (b"--BB--\r\n", {}, 400),
        "junk": (b"junk", {}, 400),
        "without a boundary": (named(b'"x"'), {"Content-Type": "multipart/form-data"}, 400),
        "of another charset": (
            named(b'"x"'),
            {"Content-Type": "multipart/form-data; boundary=BB; charset=utf-16"},
            400,
        ),
        "without an end": (named(b'"x"')[:-30], {}, 400),
        "as JSON": (b"{}", _JSON, 400),
        "part without a name": (_multipart((b"Content-Disposition: form-data", b"x")), {}, 400),
        "1200 fields": (_multipart(*[_PURPOSE] * 1200), {}, 400),
        "name with NUL": (named(b'"a\0b"'), {}, 200),
        "name of no UTF-8": (named(b'"\xff\xed\xa0\x80"'), {}, 200),
    }


def _multipart(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--BB\r\n%b\r\n\r\n%b\r\n" % part for part in parts) + b"--BB--\r\n"


def _headers(job: str, file: str) -> dict[str, Odd]:
    events, content, hello = f"/v1/jobs/{job}/events", f"/v1/files/{file}/content", _chat()
    return {
        "key of no UTF-8": ("GET", "/v1/jobs", None, {"Authorization": b"Bearer \xff"}, 401),
        "no bearer": ("GET", "/v1/jobs", None, {"Authorization": b"Basic \xff"}, 401),
        "long Idempotency-Key": ("POST", CHAT, hello, {**_JSON, "Idempotency-Key": "x" * 256}, 400),
        "another media type": ("POST", CHAT, hello, {"Content-Type": "text/plain"}, 200),
        "no media type": ("POST", CHAT, hello, {"Content-Type": b"\xff"}, 200),
        "id beyond 64 bits": ("GET", events, None, {"Last-Event-ID": "9" * 20}, 400),
        "id far ahead": ("GET", events, None, {"Last-Event-ID": "9" * 19}, 200),
        "id of no UTF-8": ("GET", events, None, {"Last-Event-ID": b"\xff"}, 400),
        "odd range": ("GET", content, None, {"Range": "x"}, 200),
        "range that ends before it begins": ("GET", content, None, {"Range": "bytes=9-1"}, 200),
        "long request id": ("GET", "/v1/jobs", None, {"X-Request-ID": b"\xff" * 100}, 200),
    }
