"""Errors on the wire: OpenAI's shape for every route and every status, and nothing in them that is not the caller's business."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import Send

from jobs.errors import (
    BrokerError,
    CaptionqError,
    DatabaseError,
    DeadlineError,
    InvalidRequestError,
    LeavingError,
    NotFoundError,
    WorkerError,
)

logger = logging.getLogger("captionq.api")

#: Codes of our own that a validator raises by name.
_OUR_CODES = ("unsupported_parameter", "invalid_image_url", "invalid_request_error")
#: Where the parts of a request come from, besides its body.
_SOURCES = ("query", "path", "header")


class ErrorDetail(BaseModel):
    """What went wrong: a sentence, its kind, the parameter it is about, and a stable word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """OpenAI's shape."""

    error: ErrorDetail


def error_detail(code: str, status: int, message: str, param: str | None = None) -> ErrorDetail:
    """In OpenAI's words."""
    return ErrorDetail(message=message, type=_kind(status), param=param, code=code)


def detail_of(error: CaptionqError) -> ErrorDetail:
    """What may be said of an error of ours. What went wrong inside is for the log: its message may hold paths."""
    inside = error.status >= 500 and type(error) not in _SPEAKABLE
    message = (type(error).__doc__ or "").splitlines()[0] if inside else error.message
    return error_detail(error.code, error.status, message)


#: Errors of the 5xx kind whose sentences were written for callers.
_SPEAKABLE = (DeadlineError, LeavingError, WorkerError)


def stored_error(code: str | None, message: str | None) -> CaptionqError:
    """The error of a row."""
    kind = _class_of(code)
    return CaptionqError("The job failed.") if kind is None else kind(message)


def error_response(error: CaptionqError, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """With Retry-After where that is known."""
    headers = dict(headers or {})
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(error.status, detail_of(error), headers)


def install_error_handlers(app: FastAPI) -> None:
    """Every exception that leaves a route becomes a body of the one shape."""

    @app.exception_handler(CaptionqError)
    @app.exception_handler(RedisError)
    @app.exception_handler(SQLAlchemyError)
    async def known(request: Request, error: Exception) -> JSONResponse:
        return error_response(outward(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _response(400, _invalid(error.errors(), error.body))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request_error")
        message = {
            404: f"There is no {request.url.path} here.",
            405: f"{request.url.path} does not take {request.method}.",
        }.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {}) | (_methods(request) if error.status_code == 405 else {})
        return _response(error.status_code, error_detail(code, error.status_code, message), headers)


def outward(error: Exception) -> CaptionqError:
    """What is said of an error; the log has the rest."""
    match error:
        case LeavingError():
            # Nothing went wrong: somebody asked the server to end.
            logger.info(error.message)
            return error
        case CaptionqError():
            if error.status >= 500:
                logger.error("%s: %s", type(error).__name__, error.message)
            return error
        case RedisError():
            logger.error("The broker is away (%s).", error)
            away: CaptionqError = BrokerError()
        case SQLAlchemyError():
            logger.exception("The database could not be used.", exc_info=error)
            away = DatabaseError()
        case _:
            logger.exception("Something broke.", exc_info=error)
            return CaptionqError("Something went wrong in captionq.")
    away.retry_after = 1.0
    return away


def not_found(what: str, name: str) -> NotFoundError:
    """There is none of this name."""
    return NotFoundError(f"There is no {what} '{name}'.")


def _invalid(errors: Sequence[Any], body: object) -> ErrorDetail:
    """What is wrong with a request, of all that is said of it."""
    # Where a value may be of several types, pydantic complains for each of them. What was meant is the type in which it came
    # farthest; a value of quite another type is the poorest of complaints.
    first = max(errors, key=lambda one: (len(_place(one, body)), not one["type"].endswith("_type")))
    param = ".".join(map(str, _place(first, body))) or None
    code = first["type"] if first["type"] in _OUR_CODES else InvalidRequestError.code
    if first["type"] == "json_invalid":
        return error_detail(code, 400, "The body is no valid JSON.")
    if first["type"] == "extra_forbidden":
        return error_detail("unknown_parameter", 400, f"There is no parameter '{param}'.", param)
    message = str(first["msg"]).removeprefix("Value error, ")
    if code == "unsupported_parameter":
        return error_detail(code, 400, message, first.get("ctx", {}).get("name"))
    return error_detail(code, 400, f"{param}: {message.removesuffix('.')}." if param else message, param)


def _place(error: Any, body: object) -> list[str | int]:
    """Where in a request an error is."""
    parts = list(error["loc"])
    if parts[:1] != ["body"]:
        return parts[1:] if len(parts) > 1 and parts[0] in _SOURCES else parts
    found = []
    for number, part in enumerate(parts[1:], start=2):
        # A form is a Mapping and no dict.
        if (isinstance(body, Mapping) and part in body) or (isinstance(body, list) and part in range(len(body))):
            body = body[part]
        elif error["type"] != "missing" or number < len(parts):
            # Not a place, but the name of one type of several.
            continue
        found.append(part)
    return found


def _methods(request: Request) -> dict[str, str]:
    """All that a path takes. The router names those of its first route alone."""
    described = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None))
    return {"Allow": ", ".join(sorted(map(str.upper, described)))} if described else {}


def _kind(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 404:
            return "not_found_error"
        case 429:
            return "rate_limit_error"
        case _:
            return "server_error" if status >= 500 else "invalid_request_error"


def _class_of(code: str | None) -> type[CaptionqError] | None:
    waiting = [CaptionqError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code:
            return kind
        waiting += kind.__subclasses__()
    return None


def _response(status: int, detail: ErrorDetail, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(ErrorBody(error=detail).model_dump(), status, headers)


async def send_error(error: CaptionqError, send: Send) -> None:
    """An error from outside the routes."""
    body = json.dumps(ErrorBody(error=detail_of(error)).model_dump()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is left of the body is not read.
    headers += [(b"connection", b"close")] if error.status in (401, 408, 413) else []
    headers += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
