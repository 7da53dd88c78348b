"""`GET /v1/workers`: the live workers of the queue, on all machines."""

from __future__ import annotations

from fastapi import APIRouter

from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.worker import WorkerList, WorkerObject
from jobs.models.model_info import public_name

router = APIRouter(tags=["health"])


@router.get("/v1/workers", response_model=WorkerList, response_description="The workers", summary="List workers")
def list_workers(resources: ResourcesDep, caller: CallerDep) -> WorkerList:
    """List the live workers of all machines, by name. A worker that was lost is listed for some seconds."""
    return WorkerList(data=[WorkerObject.model_validate(one.as_public(public_name)) for one in resources.workers()])
