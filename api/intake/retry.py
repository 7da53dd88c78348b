"""Retrying jobs that failed or were cancelled, as new jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from api.intake.jobs import served_roots
from api.intake.output_conflicts import check_outputs_free
from api.runtime.resources import Resources
from jobs.creation.backpressure import check_room
from jobs.creation.create import JOBS_A_TRANSACTION, Created, Creation, create
from jobs.creation.idempotency import find_repeated_batch
from jobs.creation.large_batch import make_batch
from jobs.creation.retry import copy_of, expect_current_texts
from jobs.errors import ForbiddenError
from jobs.images.allowed_roots import is_below
from jobs.objects.paths import SCHEME
from jobs.requests import path_of
from jobs.store.tables import Batch, Job, Lane


def retry_jobs(pages: Callable[[], Iterable[Sequence[Job]]], count: int, resources: Resources, batch: Batch) -> Created:
    """Make a batch of new jobs with the same requests, or return the earlier one that was made with the same key.

    Args:
        pages: returns the jobs, `count` of one lane, in pages; called several times.
        batch: the new batch.

    Raises:
        LaneFullError: the lane has no room for all of them.
        ConflictError: another open job writes one of their files.
        ForbiddenError: a job was made on the command line, and its files are not served.
    """
    store, connection = resources.store, resources.connection
    if (earlier := find_repeated_batch(batch, store=store, connection=connection)) is not None:
        return Created(earlier, repeated=True)
    room = check_room(store, connection, Lane(next(iter(pages()))[0].lane), count, resources.settings)
    outputs: list[str] = []
    for page in pages():
        for job in page:
            _check_served(job, resources)
        outputs += [job.output for job in page if job.output is not None]
    check_outputs_free(outputs, resources)
    roots = served_roots(resources)
    chunks = (expect_current_texts([copy_of(job, batch, roots) for job in page], store) for page in pages())
    if count <= JOBS_A_TRANSACTION:
        # In one transaction, so that a simultaneous request with the same key gets the same batch.
        whole = Creation([job for chunk in chunks for job in chunk], batch, room=room)
        return create(whole, store=store, connection=connection, settings=resources.settings)
    return make_batch(batch, chunks, (), store=store, connection=connection)


def _check_served(job: Job, resources: Resources) -> None:
    roots = resources.settings.served_roots
    files = [
        path_of(file) for file in (job.source, job.output) if file is not None and file.startswith(("file:", SCHEME))
    ]
    if not all(is_below(file, roots) for file in files):
        raise ForbiddenError(f"The files of '{job.id}' are not below a served folder. Use: captionq jobs retry")
