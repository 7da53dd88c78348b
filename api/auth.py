"""Who calls: a named API key, or whoever sits at this machine when there are no keys."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.dependencies import ResourcesDep
from jobs.errors import AuthenticationError
from jobs.settings import Settings

#: The caller's name where there are no keys.
LOCAL = "local"

_bearer = HTTPBearer(auto_error=False, description="One of CAPTIONQ_API_KEYS. Without any, no key is asked for.")


@dataclass(frozen=True)
class Caller:
    """Whose request it is. Idempotency keys of two callers never meet."""

    name: str


def caller_of(key: str | None, settings: Settings) -> Caller:
    """Raises AuthenticationError."""
    if not settings.api_keys:
        return Caller(LOCAL)
    if key is None:
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


def check_caller(
    request: Request,
    resources: ResourcesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """The caller of a request; its name goes into the log."""
    caller = caller_of(credentials.credentials if credentials else None, resources.settings)
    request.scope["captionq.caller"] = caller.name
    return caller


CallerDep = Annotated[Caller, Depends(check_caller)]
