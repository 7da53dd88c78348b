"""Responses that carry an error."""

from __future__ import annotations

import json

from fastapi.responses import JSONResponse, Response
from starlette.types import Scope, Send

from api.errors.body import ErrorDetail, detail_of
from api.errors.forms import form_of
from api.errors.retry_after import retry_after_header
from jobs.errors import CaptionqError


def error_response(error: CaptionqError, path: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response of a route that failed; `path`: the request's."""
    headers = {**(headers or {}), **retry_after_header(error)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return detail_response(error.status, detail_of(error), path, headers)


def detail_response(status: int, detail: ErrorDetail, path: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response with this detail, in the form of the path's dialect."""
    return JSONResponse(form_of(path)(detail), status, headers)


def client_left_response() -> Response:
    """Return the response to a client that has left, with nginx's status for that: the status goes to the log only."""
    return Response(status_code=499)


async def send_error(error: CaptionqError, scope: Scope, send: Send) -> None:
    """Send an error from a middleware, outside the routes."""
    body = json.dumps(form_of(scope["path"])(detail_of(error))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # The rest of the request's body is not read.
    headers += [(b"connection", b"close")] if error.status in (401, 408, 413) else []
    headers += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
