"""The class of routes that answer browsers: their errors are pages, and programs keep the answers that they had."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from api.errors.body import detail_of
from api.errors.translation import translate_error
from api.errors.validation import validation_detail
from api.pages.templates import page
from jobs.errors import CaptionqError


class PageRoute(APIRoute):
    """A route whose errors are shown as a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except (CaptionqError, RedisError, SQLAlchemyError) as error:
                known = translate_error(error)
                return page("error.html", status=known.status, message=detail_of(known).message)
            except RequestValidationError as error:
                return page("error.html", status=400, message=validation_detail(error.errors(), error.body).message)

        return handle


class BrowserRoute(PageRoute):
    """A page whose path programs may ask for too: only requests that accept HTML come here."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and not accepts_html(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)


def accepts_html(headers: Headers) -> bool:
    """Return whether the client is a browser that asks for a page: it names HTML, and not only any type."""
    return "text/html" in headers.get("accept", "")
