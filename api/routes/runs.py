"""`/v1/runs/{id}`: the jobs of one command or request, of any kind. They are paused and resumed, and so are folders."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.routes.folders import NOT_FOUND as NO_FOLDER
from api.routes.folders import FolderId, find_folder
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.folder import Folder, folder_object
from api.schemas.run import Run, run_object
from jobs.errors import NotFoundError
from jobs.queue.pausing import pause, resume
from jobs.store.tables import Batch

router = APIRouter()

RunId = Annotated[
    str, Path(max_length=64, pattern=r"^[\w-]+$", description="The id of a folder, of a batch, or of a command's run")
]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such run"}}


@router.get(
    "/v1/runs/{run_id}", tags=["runs"], response_model=Run, response_description="The run", responses=_NOT_FOUND
)
def get_run(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Run:
    """Get a run: its state and the number of its jobs."""
    return run_object(_find(run_id, resources), resources)


@router.post(
    "/v1/runs/{run_id}/pause",
    tags=["runs"],
    response_model=Run,
    response_description="The run",
    responses={**_NOT_FOUND, 409: {"model": ErrorBody, "description": "All jobs have ended"}},
)
def pause_run(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Run:
    """Pause a run: its queued jobs wait until it is resumed. Running jobs end."""
    batch = _find(run_id, resources)
    return run_object(pause(batch.id, store=resources.store, connection=resources.connection), resources)


@router.post(
    "/v1/runs/{run_id}/resume", tags=["runs"], response_model=Run, response_description="The run", responses=_NOT_FOUND
)
def resume_run(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Run:
    """Resume a paused run. A run that is not paused stays as it is."""
    batch = _find(run_id, resources)
    return run_object(resume(batch.id, store=resources.store, connection=resources.connection), resources)


@router.post(
    "/v1/folders/{folder_id}/pause",
    tags=["folders"],
    response_model=Folder,
    response_description="The folder",
    responses={**NO_FOLDER, 409: {"model": ErrorBody, "description": "All images have ended"}},
)
def pause_folder(folder_id: FolderId, resources: ResourcesDep, caller: CallerDep) -> Folder:
    """Pause a folder: its queued images wait. Images in work end."""
    batch = find_folder(folder_id, resources)
    return folder_object(pause(batch.id, store=resources.store, connection=resources.connection), resources)


@router.post(
    "/v1/folders/{folder_id}/resume",
    tags=["folders"],
    response_model=Folder,
    response_description="The folder",
    responses=NO_FOLDER,
)
def resume_folder(folder_id: FolderId, resources: ResourcesDep, caller: CallerDep) -> Folder:
    """Resume a paused folder. A folder that is not paused stays as it is."""
    batch = find_folder(folder_id, resources)
    return folder_object(resume(batch.id, store=resources.store, connection=resources.connection), resources)


def _find(run_id: str, resources: Resources) -> Batch:
    try:
        return resources.store.batch(run_id)
    except NotFoundError:
        raise not_found("run", run_id) from None
