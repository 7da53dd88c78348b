"""`/start/uploads/{tray}`: the pictures of a new run on their way in, a file a request, straight onto the disk."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.middleware.api_keys import CallerDep
from api.pages.page_state import PageStateDep
from api.pages.templates import PAGE_HEADERS
from api.runtime.dependencies import ResourcesDep
from jobs.images.stored.blobs import PIECE
from jobs.images.stored.upload_tray import ArrivingFile, UploadTray

router = APIRouter(include_in_schema=False)

TrayId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


@router.post("/start/uploads/{tray_id}/discard")
def discard_upload(tray_id: TrayId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Drop what has been uploaded. No run has begun with it."""
    UploadTray(caller.name, tray_id, resources.settings).discard()
    return _totals(UploadTray(caller.name, tray_id, resources.settings))


@router.post("/start/uploads/{tray_id}/{number}")
async def upload_file(
    request: Request,
    tray_id: TrayId,
    number: Annotated[int, Path(ge=0, lt=2**31)],
    name: Annotated[str, Query(max_length=4096)],
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
    again: bool = False,
) -> Response:
    """Take one picture, or a zip of pictures: the request's body. Raises ImageError, ArchiveError, UploadTooLargeError.

    Args:
        number: of the file within the upload.
        name: of the file, with the folders that it lay in.
        again: the file is sent once more after a broken connection.
    """
    tray = UploadTray(caller.name, tray_id, resources.settings)
    # A few at a time, whoever sends them: each has a file on the disk until it is whole.
    async with state.uploading:
        with tray.receiving(name) as arriving:
            await _receive(request, arriving)
            await run_in_threadpool(tray.add, number, arriving, again=again)
    return await run_in_threadpool(_totals, tray)


async def _receive(request: Request, arriving: ArrivingFile) -> None:
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= PIECE:
            await run_in_threadpool(arriving.write, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(arriving.write, bytes(waiting))


def _totals(tray: UploadTray) -> Response:
    totals = tray.totals
    return JSONResponse({"pictures": totals.pictures, "bytes": totals.bytes}, headers=PAGE_HEADERS)
