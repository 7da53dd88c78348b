"""`/v1/files`: images that are uploaded once and used in many requests, files of requests, and the results of batches."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from starlette.responses import FileResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.batches.files import file_object, results_of
from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey, scoped_key
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.batch import LEAST_KEPT, MOST_KEPT
from api.schemas.file import FileDeleted, FileList, FileObject
from api.schemas.forms import MAX_FORM_FIELDS, check_form
from jobs.errors import UploadTooLargeError
from jobs.images.opening import check_image
from jobs.images.stored.blobs import PIECE, blob_address, blob_path, find_blob, put_blob, put_image_file
from jobs.images.stored.safe_names import clean_label

router = APIRouter(tags=["files"])

#: The fields of `expires_after`, as OpenAI's client writes them in a form.
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
#: Seconds for which files with requests are kept unless the client says otherwise, as by OpenAI.
BATCH_FILES_KEPT = 30 * 86_400

FileId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
_DOWNLOAD = {"X-Content-Type-Options": "nosniff", "Accept-Ranges": "none"}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such file"}}


class WholeFile(FileResponse):
    """A response with a whole file, for any Range: Starlette's refusals of an odd Range do not have the shape of our errors."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


async def _check_form(request: Request) -> None:
    # FastAPI has read the form by now, and ignores unknown fields.
    check_form(await request.form(), files="file", texts=("purpose", _ANCHOR, _SECONDS))


@router.post(
    "/v1/files",
    response_model=FileObject,
    response_description="The file",
    dependencies=[Depends(_check_form)],
    form_limits={"max_files": 1, "max_fields": MAX_FORM_FIELDS},
    responses={409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another file"}},
)
def create_file(
    resources: ResourcesDep,
    caller: CallerDep,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[Literal["vision", "batch", "user_data"], Form()],
    expires_after_anchor: Annotated[Literal["created_at"] | None, Form(alias=_ANCHOR)] = None,
    expires_after_seconds: Annotated[int | None, Form(alias=_SECONDS, ge=LEAST_KEPT, le=MOST_KEPT)] = None,
    idempotency_key: IdempotencyKey = None,
) -> FileObject:
    """Upload an image (vision, user_data), to which requests refer by `file_id`, or the requests of a batch (batch)."""
    settings = resources.settings
    name = clean_label(file.filename or "file")
    if purpose == "batch":
        pieces = iter(partial(file.file.read, PIECE), b"")
        sha256, size = put_blob(pieces, settings, most=settings.max_batch_bytes, too_large=UploadTooLargeError)
    else:
        sha256, size = put_image_file(file.file, settings)
    if purpose == "vision":
        check_image(blob_path(sha256, settings), settings, name=name)
    kept = expires_after_seconds or (BATCH_FILES_KEPT if purpose == "batch" else None)
    stored = resources.uploads.add(
        name,
        sha256,
        size,
        purpose,
        scoped_key(idempotency_key, caller, "file"),
        expires_at=None if kept is None else time.time() + kept,
    )
    return file_object(stored, resources)


@router.get("/v1/files", response_model=FileList, response_description="A page of files", responses=_NOT_FOUND)
def list_files(
    resources: ResourcesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=64, description="The last_id of the previous page")] = None,
    purpose: Annotated[str | None, Query(max_length=32)] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By the time of creation")] = "desc",
) -> FileList:
    """List files, newest first."""
    files = resources.uploads.page(after=after, limit=limit + 1, purpose=purpose, oldest_first=order == "asc")
    page = [file_object(file, resources) for file in files[:limit]]
    return FileList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(files) > limit,
    )


@router.get("/v1/files/{file_id}", response_model=FileObject, response_description="The file", responses=_NOT_FOUND)
def get_file(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> FileObject:
    """Get the description of a file."""
    return file_object(resources.uploads.get(file_id), resources)


@router.get(
    "/v1/files/{file_id}/content",
    response_class=WholeFile,
    responses={**_NOT_FOUND, 200: {"description": "The file's bytes", "content": {"application/octet-stream": {}}}},
)
def get_content(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Download a file. Browsers save it and never show it, because its type is only the uploader's claim.

    The results of a batch that goes on are complete up to now.
    """
    file = resources.uploads.get(file_id)
    if file.sha256 is None:
        return StreamingResponse(results_of(file, resources), media_type="application/octet-stream", headers=_DOWNLOAD)
    path = find_blob(blob_address(file.sha256), resources.settings)
    return WholeFile(
        path,
        media_type="application/octet-stream",
        filename=file.filename,
        headers=_DOWNLOAD,
    )


@router.delete(
    "/v1/files/{file_id}", response_model=FileDeleted, response_description="The file is deleted", responses=_NOT_FOUND
)
def delete_file(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> FileDeleted:
    """Delete a file. Queued jobs keep the image that they need, and batches their requests."""
    resources.uploads.delete(file_id)
    return FileDeleted(id=file_id)
