"""`/v1/folders`: one question about many images."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import StreamingResponse

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.intake.folders import FolderIntake
from api.intake.idempotency_key import IdempotencyKey, scoped_key
from api.intake.json_body import check_values
from api.intake.retry import retry_jobs
from api.middleware.api_keys import Caller, CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.folder import FOLDER_BODIES, Folder, FolderBody, FolderOptions, folder_object
from api.schemas.forms import MAX_FORM_FIELDS, check_form
from api.streaming.folder_results import END, EVENT_ID, csv_lines, folder_events, json_lines
from api.streaming.sse import EventStream
from jobs.creation import cancel
from jobs.creation.create import Created
from jobs.errors import ConflictError, NotFoundError
from jobs.store.tables import UNANSWERED, Batch, BatchKind

router = APIRouter(tags=["folders"])

#: Most files of a form; a zip is one file. Small files lie in memory until the form is whole.
MAX_FORM_FILES = 1000

FolderId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such folder"}}


@router.post(
    "/v1/folders",
    status_code=201,
    response_model=Folder,
    response_description="The folder",
    openapi_extra=FOLDER_BODIES,
    responses={
        200: {"model": Folder, "description": "Repeated request: the folder of the first one with this key"},
        404: {"model": ErrorBody, "description": "No such folder or model"},
        409: {
            "model": ErrorBody,
            "description": "The key was used for another request, or these images are in work already",
        },
        429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
    },
)
async def create_folder(
    request: Request,
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Folder:
    """Queue every image of a served folder, or of an upload, with one question. Returns when all images are queued."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        created = await _create_from_upload(request, resources, caller, idempotency_key)
    else:
        text = await request.body()
        created = await run_in_threadpool(_create_from_path, text, resources, caller, idempotency_key)
    response.status_code = 200 if created.repeated else 201
    return await run_in_threadpool(lambda: folder_object(resources.store.batch(created.made.id), resources))


@router.get("/v1/folders/{folder_id}", response_model=Folder, response_description="The folder", responses=NOT_FOUND)
def get_folder(folder_id: FolderId, resources: ResourcesDep, caller: CallerDep) -> Folder:
    """Get a folder: its counts, its speed and the estimated time left."""
    return folder_object(find_folder(folder_id, resources), resources)


@router.delete("/v1/folders/{folder_id}", response_model=Folder, response_description="The folder", responses=NOT_FOUND)
def cancel_folder(folder_id: FolderId, resources: ResourcesDep, caller: CallerDep) -> Folder:
    """Cancel the images that have no result yet. Results are kept."""
    batch = find_folder(folder_id, resources)
    cancel.cancel_run(batch.id, store=resources.store, connection=resources.connection)
    return folder_object(batch, resources)


@router.post(
    "/v1/folders/{folder_id}/retry",
    status_code=201,
    response_model=Folder,
    response_description="The new folder",
    responses={
        **NOT_FOUND,
        200: {"model": Folder, "description": "Repeated request: the folder of the first one with this key"},
        409: {"model": ErrorBody, "description": "No image failed or was cancelled, or they are being retried already"},
        429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
    },
)
def retry_folder(
    folder_id: FolderId,
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Folder:
    """Retry the images that failed or were cancelled, as a new folder."""
    batch, store = find_folder(folder_id, resources), resources.store
    counts = store.counts(batch.id)
    failed = sum(counts[status] for status in UNANSWERED)
    if not failed:
        raise ConflictError(f"Nothing to retry: no image of {folder_id} failed or was cancelled.")
    again = Batch(
        description=batch.description,
        kind=BatchKind.FOLDER,
        model=batch.model,
        idempotency_key=scoped_key(idempotency_key, caller, "retry"),
        digest=folder_id,
    )
    created = retry_jobs(lambda: store.ended_pages(batch.id, statuses=UNANSWERED), failed, resources, again)
    response.status_code = 200 if created.repeated else 201
    return folder_object(store.batch(created.made.id), resources)


@router.get(
    "/v1/folders/{folder_id}/events",
    response_class=EventStream,
    # FastAPI reads the status from the class only if its constructor has one.
    status_code=200,
    responses={
        **NOT_FOUND,
        200: {"description": "Events: image for each image that ends, progress, and at the end result or error"},
        204: {"description": "All events have been sent: do not reconnect"},
        429: {"model": ErrorBody, "description": "Too many streams are open"},
    },
)
async def follow_folder(
    folder_id: FolderId,
    resources: ResourcesDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
) -> Response:
    """Follow a folder by server-sent events, one for each image that ends.

    With Last-Event-ID, only the events after that one are sent.
    """
    batch = await run_in_threadpool(find_folder, folder_id, resources)
    if last_event_id == END:
        return Response(status_code=204)
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    return EventStream(folder_events(batch, resources, int(last_event_id or 0)), at_end=at_end, error_name="error")


@router.get(
    "/v1/folders/{folder_id}/results",
    response_class=StreamingResponse,
    responses={
        **NOT_FOUND,
        200: {
            "description": "A line for each image that has ended",
            "content": {"application/x-ndjson": {}, "text/csv": {}},
        },
    },
)
def get_results(
    folder_id: FolderId,
    resources: ResourcesDep,
    caller: CallerDep,
    format: Annotated[Literal["jsonl", "csv"], Query()] = "jsonl",  # noqa: A002  # the parameter's name on the wire
) -> StreamingResponse:
    """Download the results so far, in the order in which the images ended."""
    batch = find_folder(folder_id, resources)
    if format == "csv":
        return StreamingResponse(csv_lines(resources.store, batch), media_type="text/csv")
    return StreamingResponse(json_lines(resources.store, batch), media_type="application/x-ndjson")


def _create_from_path(text: bytes, resources: Resources, caller: Caller, idempotency_key: str | None) -> Created:
    body = _valid_body(text)
    return FolderIntake(body, resources, caller, idempotency_key).queue_path(body)


async def _create_from_upload(
    request: Request, resources: Resources, caller: Caller, idempotency_key: str | None
) -> Created:
    async with resources.uploading, request.form(max_files=MAX_FORM_FILES, max_fields=MAX_FORM_FIELDS) as form:
        check_form(form, files="files", texts=("options",))
        options = _valid_options(str(form.get("options", "{}")))
        files = [(part.filename or "", part.file) for part in form.getlist("files") if isinstance(part, UploadFile)]
        return await run_in_threadpool(
            lambda: FolderIntake(options, resources, caller, idempotency_key).queue_uploads(files)
        )


def _valid_body(text: bytes) -> FolderBody:
    if not text:
        # As FastAPI tells an empty body.
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    check_values(text)
    try:
        return FolderBody.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def _valid_options(text: str) -> FolderOptions:
    try:
        return FolderOptions.model_validate_json(text)
    except ValidationError as error:
        errors = error.errors()
        if errors[0]["type"] in ("json_invalid", "model_type") and not errors[0]["loc"]:
            # It is the field that is no JSON, or no object, not the body.
            errors[0]["loc"] = ("options",)
        raise RequestValidationError(errors) from None


def find_folder(folder_id: str, resources: Resources) -> Batch:
    """Return the batch of a folder. Raises NotFoundError."""
    try:
        batch = resources.store.batch(folder_id)
    except NotFoundError:
        raise not_found("folder", folder_id) from None
    if batch.kind != BatchKind.FOLDER:
        raise not_found("folder", folder_id)
    return batch
