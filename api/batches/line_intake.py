"""From a line of a batch to its job."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi.exceptions import RequestValidationError

from api.batches.endpoints import LINE_ENDPOINTS, failure, result_pages
from api.errors.body import detail_of
from api.errors.validation import validation_detail
from api.intake.jobs import job_for
from api.runtime.resources import Resources
from jobs.batches.feeding import LineResponse
from jobs.batches.life_cycle import LineDialect
from jobs.errors import CaptionqError
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.tables import Job, Lane


def line_dialect(resources: Resources) -> LineDialect:
    """Return the functions by which the batches of this server are led to their ends."""
    return LineDialect(
        resolve_model=lambda name: resources.catalogue.resolve(name).name,
        make_job=partial(job_of_line, resources=resources),
        render=partial(result_pages, lines=FileLines(resources.store.engine)),
    )


def job_of_line(endpoint: str, body: dict[str, Any], resources: Resources) -> Job | LineResponse:
    """Return the job of a line, not yet stored, or the error that the endpoint itself would answer with.

    Raises transient errors: the line is tried again later.
    """
    try:
        job = job_for(LINE_ENDPOINTS[endpoint].chat(body, resources), resources, lane=Lane.BULK)
    except RequestValidationError as error:
        return failure(400, validation_detail(error.errors(), error.body))
    except CaptionqError as error:
        if error.transient:
            raise
        return failure(error.status, detail_of(error))
    # No client follows the answer as it grows: lines that ask the same share one generation.
    job.streamed = False
    return job
