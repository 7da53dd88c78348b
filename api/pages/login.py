"""`/login`: an API key, given once, opens the page until the browser closes."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.middleware.api_keys import caller_of
from api.middleware.page_session import COOKIE, cross_site_refusal, session_value
from api.pages.page_route import PageRoute
from api.pages.templates import PAGE_HEADERS, page
from api.runtime.dependencies import ResourcesDep
from jobs.errors import AuthenticationError

router = APIRouter(include_in_schema=False, route_class=PageRoute)

#: Paths of this server, perhaps with a query. `//host` and `/\\host` would lead to another one.
_OWN_PATH = re.compile(r"/(?![/\\])[\w/.-]*(\?[\x21-\x7e]*)?")


@router.get("/login")
def show_login(resources: ResourcesDep, next_path: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Show the form for the key. Without configured keys there is nothing to ask for."""
    if not resources.settings.api_keys:
        return _to(next_path)
    return page("login.html", next_path=_own(next_path), message=None)


@router.post("/login")
def log_in(
    request: Request,
    resources: ResourcesDep,
    key: Annotated[str, Form(max_length=4096)] = "",
    next_path: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Check the key, and begin a session. Raises ForbiddenError for a form of another page."""
    if (refusal := cross_site_refusal(request.method, request.headers)) is not None:
        raise refusal
    try:
        caller_of(key.strip(), resources.settings)
    except AuthenticationError:
        message = "This key is not one of the server's. Its keys are set in CAPTIONQ_API_KEYS."
        return page("login.html", status=401, next_path=_own(next_path), message=message)
    response = _to(next_path)
    is_secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, session_value(key.strip()), httponly=True, samesite="strict", secure=is_secure)
    return response


@router.post("/logout")
def log_out() -> Response:
    """End the session in this browser."""
    response = _to("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _to(path: str) -> Response:
    return RedirectResponse(_own(path), 303, PAGE_HEADERS)


def _own(path: str) -> str:
    return path if _OWN_PATH.fullmatch(path) else "/"
