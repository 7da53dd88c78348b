"""Refusing requests that a page of another site makes a browser send. Only needed if no key protects the API."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.early_refusal import refuse_early
from jobs.errors import CaptionqError, ForbiddenError


class SameSite:
    """Plain ASGI middleware that checks Host and Origin.

    A page can reach a loopback address by its number, or by a name of its own that resolves to it (DNS rebinding). Pages of
    the allowed origins may call a loopback host, and no other.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(scope, Headers(scope=scope))) is not None:
            return await refuse_early(error, scope, receive, send)
        return await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> CaptionqError | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _is_loopback(host):
            _, port = scope["server"]
            return ForbiddenError(
                f"Requests for host '{_hostname(host) or host}' are refused while no API key is set. "
                f"Set CAPTIONQ_API_KEYS, or call http://127.0.0.1:{port}."
            )
        if origin is not None and _netloc(origin) != host and origin not in self._allowed_origins:
            return ForbiddenError(
                f"Requests from pages of {origin} are refused while no API key is set. Allow them with: "
                f"captionq serve --allow-origin {origin}"
            )
        return None


def _is_loopback(host: str) -> bool:
    name = _hostname(host) or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
