"""Who calls: a named API key, or whoever sits at this machine when there are no keys."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.early_refusal import refuse
from jobs.errors import AuthenticationError
from jobs.settings import Settings

#: The caller's name where there are no keys.
LOCAL = "local"
#: Asked by machines, and by who wants to know what there is to ask.
OPEN_PATHS = ("/healthz", "/readyz", "/openapi.json")

_bearer = HTTPBearer(auto_error=False, description="One of CAPTIONQ_API_KEYS. Without any, no key is asked for.")


@dataclass(frozen=True)
class Caller:
    """Whose request it is. Idempotency keys of two callers never meet."""

    name: str


def caller_of(key: str | None, settings: Settings) -> Caller:
    """Raises AuthenticationError."""
    if not settings.api_keys:
        return Caller(LOCAL)
    if not key:
        raise AuthenticationError("An API key is needed: Authorization: Bearer KEY.")
    # All of them are compared, each in constant time: how long it takes tells nothing.
    given = key.encode(errors="replace")
    known = [
        name
        for name, secret in settings.api_keys.items()
        if hmac.compare_digest(given, secret.get_secret_value().encode())
    ]
    if not known:
        raise AuthenticationError("This API key is not known.")
    return Caller(known[0])


class KeyCheck:
    """Asks for a key before anything is made of a body. Plain ASGI."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        kind, _, key = headers.get("authorization", "").partition(" ")
        try:
            scope["captionq.caller"] = caller_of(key if kind.lower() == "bearer" else None, self._settings).name
        except AuthenticationError as error:
            if scope["path"] not in OPEN_PATHS:
                return await refuse(error, headers, receive, send)
        return await self._app(scope, receive, send)


def get_caller(request: Request, credentials: Annotated[object, Security(_bearer)]) -> Caller:
    """The caller of a request, as `KeyCheck` found it; the bearer stands here for the document alone."""
    return Caller(request.scope["captionq.caller"])


CallerDep = Annotated[Caller, Depends(get_caller)]
