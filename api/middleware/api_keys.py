"""API keys, and the caller that a key names. Without configured keys every caller is `local`."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.early_refusal import refuse_early
from api.middleware.page_session import OPEN_PAGES, is_page, page_caller, page_to_return_to
from jobs.configuration.settings import Settings
from jobs.errors import AdminRequiredError, AuthenticationError, ForbiddenError

#: The caller's name if no keys are configured.
LOCAL = "local"
#: Paths that need no key: health checks, and the description of the API.
OPEN_PATHS = ("/", "/health", "/healthz", "/readyz", "/openapi.json")

_bearer = HTTPBearer(
    auto_error=False, description="A key from CAPTIONQ_API_KEYS. No key is needed if none is configured."
)


@dataclass(frozen=True)
class Caller:
    """The owner of an API key. Two callers never share an Idempotency-Key."""

    name: str


def caller_of(key: str | None, settings: Settings) -> Caller:
    """Return the caller with this key. Raises AuthenticationError."""
    if not settings.api_keys:
        return Caller(LOCAL)
    if not key:
        raise AuthenticationError("An API key is required. Send it as: Authorization: Bearer KEY")
    # Every key is compared, each in constant time, so that the duration reveals nothing.
    given = key.encode(errors="replace")
    known = [
        name
        for name, secret in settings.api_keys.items()
        if hmac.compare_digest(given, secret.get_secret_value().encode())
    ]
    if not known:
        raise AuthenticationError("Invalid API key.")
    return Caller(known[0])


class KeyCheck:
    """Plain ASGI middleware that refuses requests without a valid key before their body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers, path = Headers(scope=scope), scope["path"]
        key = _key(headers)
        try:
            if key is None and self._settings.api_keys and is_page(path):
                scope["captionq.caller"] = page_caller(scope["method"], headers, self._settings)
            else:
                scope["captionq.caller"] = caller_of(key, self._settings).name
        except (AuthenticationError, ForbiddenError) as error:
            wants_page = is_page(path) and "text/html" in headers.get("accept", "")
            if error.status == 401 and wants_page:
                back = page_to_return_to(scope["method"], path, scope["query_string"], headers)
                return await RedirectResponse(f"/login?{urlencode({'next': back})}", 303)(scope, receive, send)
            # Without a key, `/` greets programs, and shows no page.
            if wants_page or (path not in OPEN_PATHS and not path.startswith(OPEN_PAGES)):
                return await refuse_early(error, scope, receive, send)
        return await self._app(scope, receive, send)


def _key(headers: Headers) -> str | None:
    """Return the key of a request: OpenAI's clients send it as a bearer token, Anthropic's in a header of its own."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key if kind.lower() == "bearer" else headers.get("x-api-key")


async def get_caller(request: Request, credentials: Annotated[object, Security(_bearer)]) -> Caller:
    """Return the caller that `KeyCheck` found. The bearer scheme stands here only for the OpenAPI document."""
    return Caller(request.scope["captionq.caller"])


def check_admin(caller: Caller, settings: Settings) -> None:
    """Check that a caller may change the server itself, such as its models. Raises AdminRequiredError.

    Without keys, only programs of this machine get here: they are the owner's.
    """
    if settings.api_keys and caller.name not in settings.admin_keys:
        raise AdminRequiredError(
            f"The key '{caller.name}' has no admin right, which downloads of models need. Name it in CAPTIONQ_ADMIN_KEYS."
        )


CallerDep = Annotated[Caller, Depends(get_caller)]
