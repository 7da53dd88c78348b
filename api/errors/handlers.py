"""Handlers that turn every exception of a route into an error body."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.errors.body import error_detail
from api.errors.other_servers import OTHER_SERVERS
from api.errors.response import client_left_response, detail_response, error_response
from api.errors.translation import translate_error
from api.errors.validation import validation_detail
from jobs.errors import CaptionqError


def install_error_handlers(app: FastAPI) -> None:
    """Let every exception that leaves a route become a body of the one shape."""

    @app.exception_handler(CaptionqError)
    @app.exception_handler(RedisError)
    @app.exception_handler(SQLAlchemyError)
    @app.exception_handler(OSError)
    async def known(request: Request, error: Exception) -> JSONResponse:
        return error_response(translate_error(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return detail_response(400, validation_detail(error.errors(), error.body), request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return client_left_response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, ClientDisconnect):
            # FastAPI takes it for a body that cannot be parsed.
            return client_left_response()
        status, headers = error.status_code, dict(error.headers or {})
        code, message = "invalid_request_error", str(error.detail)
        if status == 404:
            code = "not_found"
            path = request.url.path[:200]
            message = (
                OTHER_SERVERS.get(path) or f"Not found: {path}. The API is at /v1, its description at /openapi.json."
            )
        elif status == 405:
            allowed = _methods(request)
            code, message = "method_not_allowed", f"{request.method} is not allowed here"
            message += f"; use {' or '.join(allowed)}." if allowed else "."
            headers |= {"Allow": ", ".join(allowed)} if allowed else {}
        return detail_response(status, error_detail(code, status, message), request.url.path, headers)


def _methods(request: Request) -> list[str]:
    """Return every method of a path. The router knows only those of the path's first route."""
    described = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None))
    return sorted(map(str.upper, described)) if described else []
