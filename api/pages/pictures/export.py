"""`/runs/{id}/export`: the captions of the pictures that are shown, as a table or as text files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from api.middleware.api_keys import CallerDep
from api.pages.page_route import PageRoute
from api.pages.run_page import ChoiceDep, RunId, find_run
from api.pages.templates import PAGE_HEADERS
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.job import source_name
from jobs.captions.outputs.tables import Row, row_of, table_lines
from jobs.captions.outputs.text_zip import zipped_texts
from jobs.chunks import chunked
from jobs.store.queries.run_pictures import chosen_jobs
from jobs.store.tables import Batch, BatchKind, Job

router = APIRouter(include_in_schema=False, route_class=PageRoute)

#: Lines that are sent at a time.
_LINES = 500
_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson", "txt": "application/zip"}
_NAMES = {"csv": "captions.csv", "jsonl": "captions.jsonl", "txt": "captions.zip"}


@router.get("/runs/{run_id}/export")
def export_captions(
    run_id: RunId,
    form: Literal["csv", "jsonl", "txt"],
    resources: ResourcesDep,
    caller: CallerDep,
    choice: ChoiceDep,
) -> StreamingResponse:
    """Send the chosen captions, in order, as a file to save."""
    batch = find_run(run_id, resources)
    jobs = chosen_jobs(resources.store.engine, batch.id, choice)
    if form == "txt":
        content = zipped_texts(jobs, _folder_of(batch))
    else:
        lines = table_lines(_rows(jobs, batch, resources), form)
        content = (b"".join(some) for some in chunked(lines, _LINES))
    name = f'attachment; filename="{_NAMES[form]}"'
    return StreamingResponse(content, headers={**PAGE_HEADERS, "Content-Disposition": name}, media_type=_TYPES[form])


def _rows(jobs: Iterable[Job], batch: Batch, resources: Resources) -> Iterator[Row]:
    """Yield the rows. Clients with API keys learn names below the run's folder, and no paths of this machine."""
    hidden = {"path"} if resources.settings.api_keys else set()
    for job in jobs:
        yield row_of(job) | {name: source_name(job, _folder_of(batch)) for name in hidden}


def _folder_of(batch: Batch) -> Path | None:
    """Return the folder whose pictures a run captions; None: it was given several, or uploads."""
    return Path(batch.description) if batch.kind in (BatchKind.FOLDER, BatchKind.RUN) else None
