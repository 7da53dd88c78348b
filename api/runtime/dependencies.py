"""What routes ask for by type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from api.runtime.resources import Resources


def get_resources(request: Request) -> Resources:
    """What the lifespan opened."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same body gives what the first request made.",
    ),
]
