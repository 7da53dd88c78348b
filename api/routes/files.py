"""`/v1/files`: images that are uploaded once and asked about often."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, UploadFile
from pydantic import BaseModel
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from api.errors.body import ErrorBody
from api.intake.jobs import scoped
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import IdempotencyKey, ResourcesDep
from api.schemas.forms import MOST_FIELDS, check_form
from jobs.images.blobs import blob_address, blob_path, find_blob, put_image_file
from jobs.images.opening import check_image
from jobs.images.safe_names import clean_label
from jobs.store.tables import StoredFile

router = APIRouter(tags=["files"])

FileId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such file"}}


class FileObject(BaseModel):
    """OpenAI's `file`."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    expires_at: None = None


class WholeFile(FileResponse):
    """A file, never a part of it: Starlette's refusals of an odd Range are no errors of our shape."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


class FileList(BaseModel):
    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


async def _check_form(request: Request) -> None:
    # FastAPI has read it by now, and takes what it knows of it.
    check_form(await request.form(), files="file", texts=("purpose",))


@router.post(
    "/v1/files",
    response_model=FileObject,
    dependencies=[Depends(_check_form)],
    form_limits={"max_files": 1, "max_fields": MOST_FIELDS},
    responses={409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another file"}},
)
def create_file(
    resources: ResourcesDep,
    caller: CallerDep,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[Literal["vision"], Form()],
    idempotency_key: IdempotencyKey = None,
) -> FileObject:
    """Upload an image; requests refer to it by `file_id`."""
    settings = resources.settings
    sha256, size = put_image_file(file.file, settings)
    name = clean_label(file.filename or "image")
    check_image(blob_path(sha256, settings), settings, name=name)
    key = scoped(idempotency_key, caller, "file")
    return _object(resources.uploads.add(name, sha256, size, purpose, key))


@router.get("/v1/files", response_model=FileList, responses=_NOT_FOUND)
def list_files(
    resources: ResourcesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=64)] = None,
    purpose: Annotated[str | None, Query(max_length=32)] = None,
) -> FileList:
    """The newest first, a page at a time."""
    files = resources.uploads.page(after=after, limit=limit + 1, purpose=purpose)
    page = [_object(file) for file in files[:limit]]
    return FileList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(files) > limit,
    )


@router.get("/v1/files/{file_id}", response_model=FileObject, responses=_NOT_FOUND)
def get_file(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> FileObject:
    """What is known of it."""
    return _object(resources.uploads.get(file_id))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=WholeFile,
    responses={**_NOT_FOUND, 200: {"description": "Its bytes", "content": {"application/octet-stream": {}}}},
)
def get_content(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> WholeFile:
    """Its bytes. Never shown by a browser: whoever uploaded it said what it is."""
    file = resources.uploads.get(file_id)
    path = find_blob(blob_address(file.sha256), resources.settings)
    return WholeFile(
        path,
        media_type="application/octet-stream",
        filename=file.filename,
        headers={"X-Content-Type-Options": "nosniff", "Accept-Ranges": "none"},
    )


@router.delete("/v1/files/{file_id}", response_model=FileDeleted, responses=_NOT_FOUND)
def delete_file(file_id: FileId, resources: ResourcesDep, caller: CallerDep) -> FileDeleted:
    """Forget it. Jobs that are queued keep what they need of it."""
    resources.uploads.delete(file_id)
    return FileDeleted(id=file_id)


def _object(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
    )
