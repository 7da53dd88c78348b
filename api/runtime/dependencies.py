"""The dependency that routes take by type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from api.runtime.resources import Resources


# Asynchronous, as the dependencies of all routes are: the others would each wait for a thread.
async def get_resources(request: Request) -> Resources:
    """Return the resources that the lifespan opened."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]
