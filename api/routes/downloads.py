"""`/v1/downloads`: models that a worker downloads for an admin."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from api.errors.body import ErrorBody
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep, check_admin
from api.runtime.dependencies import ResourcesDep
from api.schemas.download import DownloadBody, DownloadList, DownloadObject, download_object
from jobs.models.pull_names import check_pull_name
from jobs.queue.downloads.records import DownloadStatus, find_download, list_downloads
from jobs.queue.downloads.wishes import cancel, wish


def _admin(resources: ResourcesDep, caller: CallerDep) -> None:
    check_admin(caller, resources.settings)


router = APIRouter(tags=["models"], route_class=JSONRoute, dependencies=[Depends(_admin)])

DownloadId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such download"}}


@router.post(
    "/v1/downloads",
    status_code=202,
    response_model=DownloadObject,
    response_description="The download: a new one, or the one of this model that is open already",
    responses={
        404: {"model": ErrorBody, "description": "No such worker, or a name that is not one of Hugging Face"},
        409: {"model": ErrorBody, "description": "The worker drains"},
        429: {"model": ErrorBody, "description": "Too many downloads are open"},
    },
)
def create_download(body: DownloadBody, resources: ResourcesDep) -> DownloadObject:
    """Download a model to the machine of a worker, or the rest of it. Needs the admin right."""
    check_pull_name(body.model)
    return download_object(wish(resources.connection, body.model, body.worker))


@router.get("/v1/downloads", response_model=DownloadList, response_description="The downloads")
def get_downloads(resources: ResourcesDep) -> DownloadList:
    """List the downloads of the last day, newest first. Needs the admin right."""
    return DownloadList(data=[download_object(one) for one in list_downloads(resources.connection)])


@router.get(
    "/v1/downloads/{download_id}",
    response_model=DownloadObject,
    response_description="The download",
    responses=_NOT_FOUND,
)
def get_download(download_id: DownloadId, resources: ResourcesDep) -> DownloadObject:
    """Get a download: how far it is, or how it has ended. Needs the admin right."""
    download = find_download(resources.connection, download_id)
    if download.status is DownloadStatus.SUCCEEDED:
        resources.catalogue.look_again(download.model)
    return download_object(download)


@router.delete(
    "/v1/downloads/{download_id}",
    response_model=DownloadObject,
    response_description="The download, which may still run for a second",
    responses={**_NOT_FOUND, 409: {"model": ErrorBody, "description": "The download has ended already"}},
)
def cancel_download(download_id: DownloadId, resources: ResourcesDep) -> DownloadObject:
    """Cancel a download. The next one of the model goes on where it stopped. Needs the admin right."""
    return download_object(cancel(resources.connection, download_id))
