"""Browsers: what a page of another site makes them send is refused where no key protects the API."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.early_refusal import refuse
from jobs.errors import CaptionqError, ForbiddenError


class SameSite:
    """Such a page can reach a loopback address, and a name of its own that resolves to it (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(headers := Headers(scope=scope))) is not None:
            return await refuse(error, headers, receive, send)
        return await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> CaptionqError | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _is_loopback(host):
            return ForbiddenError("Without API keys this server answers to loopback names alone (the Host header).")
        if origin is not None and _place(origin) != host:
            return ForbiddenError("Without API keys this server does not answer to pages of other sites (Origin).")
        return None


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
