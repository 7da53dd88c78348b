"""The session of the page: which requests a cookie opens, and which not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from api.middleware.api_keys import KeyCheck
from api.middleware.page_session import COOKIE, session_value
from jobs.configuration.settings import Settings

KEY = "the-key-of-the-tests"
HOST = "127.0.0.1:8484"
SESSION = {"cookie": f"other=1; {COOKIE}={session_value(KEY)}"}


def answer_to(
    method: str, path: str, headers: Mapping[str, str], *, query: bytes = b"", keys: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    """Send a request through the key check; return the status and the headers of the answer, or 200 with the caller."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("", headers={"x-caller": scope.get("captionq.caller", "none")})(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    secrets = {name: SecretStr(key) for name, key in ({"tests": KEY} if keys is None else keys).items()}
    all_headers = [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]
    scope: Scope = {"type": "http", "method": method, "path": path, "headers": all_headers, "query_string": query}
    asyncio.run(KeyCheck(app, Settings(api_keys=secrets))(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found


@pytest.mark.parametrize(
    "path", ["/", "/runs/batch_1", "/runs/batch_1/pictures/job_1/small", "/live", "/chat", "/chat/code"]
)
def test_a_cookie_opens_pages(path: str) -> None:
    """The caller is the owner of the key that the cookie was made with."""
    status, headers = answer_to("GET", path, SESSION)
    assert (status, headers["x-caller"]) == (200, "tests")


@pytest.mark.parametrize("path", ["/v1/jobs", "/metrics", "/runs", "/livelihood", "/chats", "/v1/chat/completions"])
def test_a_cookie_opens_nothing_else(path: str) -> None:
    """Programs send their key; a form of another page must not reach the API with a person's cookie."""
    status, _ = answer_to("GET", path, SESSION)
    assert status == 401


@pytest.mark.parametrize("cookie", ["", "x", session_value("another-key-1"), KEY, "ä"])
def test_any_other_cookie_is_worth_nothing(cookie: str) -> None:
    """Neither is the key itself; browsers are led to the form, and scripts get an error."""
    headers = {"cookie": f"{COOKIE}={cookie}".encode().decode("latin-1")}
    assert answer_to("GET", "/runs/batch_1", headers)[0] == 401
    status, answer = answer_to("GET", "/runs/batch_1", {**headers, "accept": "text/html,*/*"})
    assert (status, answer["location"]) == (303, "/login?next=%2Fruns%2Fbatch_1")


@pytest.mark.parametrize(
    ("method", "referer", "location"),
    [
        ("GET", "", "/login?next=%2Fruns%2Fbatch_1%2Fpictures%2Fjob_1%2Fedit%3Fshow%3Dreview"),
        (
            "POST",
            f"http://{HOST}/runs/batch_1/pictures/job_1?search=a+dog",
            "/login?next=%2Fruns%2Fbatch_1%2Fpictures%2Fjob_1%3Fsearch%3Da%2Bdog",
        ),
        ("POST", f"http://{HOST}/v1/jobs", "/login?next=%2F"),
        ("POST", "http://example.com/runs/batch_1", "/login?next=%2F"),
        ("POST", "http://[", "/login?next=%2F"),
        ("POST", "", "/login?next=%2F"),
    ],
)
def test_a_login_leads_back_to_a_page(method: str, referer: str, location: str) -> None:
    """With its query. A form's own address shows nothing: the page that sent it does."""
    headers = {"accept": "text/html", "referer": referer}
    status, answer = answer_to(method, "/runs/batch_1/pictures/job_1/edit", headers, query=b"show=review")
    assert (status, answer["location"]) == (303, location)


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", f"http://{HOST}", 200),
        ("POST", None, 403),
        ("POST", "null", 403),
        ("POST", "http://127.0.0.1:3000", 403),
        ("POST", "http://127.0.0.1:8484.example.com", 403),
        ("GET", None, 200),
        ("GET", "http://127.0.0.1:3000", 403),
    ],
)
def test_changes_come_from_the_own_origin_only(method: str, origin: str | None, status: int) -> None:
    """To browsers, another port of the host is the same site, so the cookie comes with its forms."""
    headers = SESSION if origin is None else {**SESSION, "origin": origin}
    assert answer_to(method, "/runs/batch_1/cancel", headers)[0] == status


def test_the_form_and_static_files_need_no_key_and_without_keys_nothing_does() -> None:
    """A wrong key in a header is refused also where a cookie would do."""
    assert answer_to("GET", "/login", {})[0] == 200
    assert answer_to("GET", "/static/style.css", {})[0] == 200
    assert answer_to("GET", "/live", {"authorization": "Bearer wrong-key", **SESSION})[0] == 401
    html = {"accept": "text/html"}
    assert answer_to("GET", "/", {"authorization": "Bearer wrong-key", **SESSION, **html})[0] == 303
    assert answer_to("GET", "/", {"origin": "http://127.0.0.1:3000", **SESSION, **html})[0] == 403
    assert answer_to("GET", "/", {})[1]["x-caller"] == "none"
    assert answer_to("POST", "/runs/batch_1/cancel", {}, keys={}) == (
        200,
        {"x-caller": "local", "content-length": "0", "content-type": "text/plain; charset=utf-8"},
    )
