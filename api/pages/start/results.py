"""`/runs/{id}/results`: the captions of a run as a file. Uploaded pictures have no folder that texts could be written into."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from api.middleware.api_keys import CallerDep
from api.pages.page_route import PageRoute
from api.pages.run_page import RunId, find_run
from api.pages.templates import PAGE_HEADERS
from api.runtime.dependencies import ResourcesDep
from api.streaming.folder_results import csv_lines, json_lines

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/runs/{run_id}/results")
def download_results(
    run_id: RunId,
    resources: ResourcesDep,
    caller: CallerDep,
    form: Annotated[Literal["csv", "jsonl"], Query(alias="format")] = "csv",
) -> StreamingResponse:
    """Download the captions so far, in the order in which the pictures ended."""
    batch = find_run(run_id, resources)
    lines, kind = (csv_lines, "text/csv") if form == "csv" else (json_lines, "application/x-ndjson")
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{batch.id}.{form}"'}
    return StreamingResponse(lines(resources.store, batch), media_type=kind, headers=headers)
