"""`/runs/{id}/pictures/{job}/{size}`: the picture of a job, scaled down. No path stands in the address."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from api.middleware.api_keys import CallerDep
from api.pages.page_state import PageState, PageStateDep
from api.pages.run_page import RunId
from api.pages.static_files import static_files
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from jobs.errors import CaptionqError, NotFoundError

router = APIRouter(include_in_schema=False)

_HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


@router.get("/runs/{run_id}/pictures/{job_id}/{size}")
async def get_picture_file(
    run_id: RunId,
    job_id: RunId,
    size: Literal["small", "large"],
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
) -> Response:
    """Get the picture as a JPEG, or a drawing that stands for a picture that cannot be shown."""
    # A few at a time: the threads are needed for answers too, and each decoder takes memory.
    async with state.decoding:
        made = await run_in_threadpool(_made, run_id, job_id, size, resources, state)
    if made is None:
        _, drawing = static_files()["no-picture.svg"]
        return Response(drawing, media_type="image/svg+xml", headers={**_HEADERS, "Cache-Control": "no-cache"})
    headers = {**_HEADERS, "Cache-Control": "private, max-age=3600"}
    return Response(made, media_type="image/jpeg", headers=headers)


def _made(run_id: str, job_id: str, size: str, resources: Resources, state: PageState) -> bytes | None:
    job = resources.store.job(job_id)
    if job.batch_id != run_id:
        raise NotFoundError(f"Job '{job_id}' is not part of this run.")
    try:
        return state.thumbnails.of(job, size)
    except (CaptionqError, OSError):
        # The card says why the picture failed, and its file may be gone by now.
        return None
