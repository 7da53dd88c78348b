"""Browsers: what a page of another site makes them send is refused where no key protects the API."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import send_error
from jobs.errors import CaptionqError, ForbiddenError


class SameSite:
    """Such a page can reach a loopback address, and a name of its own that resolves to it (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """`hosts`: the names that this server is called by."""
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(Headers(scope=scope))) is not None:
            return await send_error(error, send)
        return await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> CaptionqError | None:
        host = headers.get("host", "")
        if (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            return ForbiddenError("Without API keys this server answers to loopback names alone (the Host header).")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return ForbiddenError("Without API keys this server does not answer to pages of other sites (Origin).")
        return None
