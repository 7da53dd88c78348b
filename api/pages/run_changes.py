"""Changes of runs that the page's buttons make."""

from __future__ import annotations

from collections.abc import Iterable

from api.runtime.resources import Resources
from jobs.creation import cancel
from jobs.creation.backpressure import check_room
from jobs.creation.retry import resubmit
from jobs.creation.run_locks import RunLocks
from jobs.errors import ConflictError, ForbiddenError
from jobs.images.allowed_roots import is_below
from jobs.objects.paths import SCHEME
from jobs.queue import pausing
from jobs.requests import path_of
from jobs.store.tables import UNANSWERED, Batch, Job, Lane


def check_files(jobs: Iterable[Job], resources: Resources) -> None:
    """Check that the files of jobs may be changed: with API keys, only files below served folders. Raises ForbiddenError."""
    settings = resources.settings
    if not settings.api_keys:
        # The runs belong to the person at this machine.
        return
    for job in jobs:
        files = [
            path_of(file)
            for file in (job.source, job.output)
            if file is not None and file.startswith(("file:", SCHEME))
        ]
        if not all(is_below(file, settings.served_roots) for file in files):
            raise ForbiddenError("These files are not below a served folder. Start: captionq serve --allow-root DIR")


def cancel_run(batch: Batch, resources: Resources) -> None:
    """Cancel the jobs of a run that have not ended."""
    cancel.cancel_run(batch.id, store=resources.store, connection=resources.connection)


def pause_run(batch: Batch, resources: Resources) -> None:
    """Let the queued jobs of a run wait. Raises ConflictError if the run has ended."""
    pausing.pause(batch.id, store=resources.store, connection=resources.connection)


def resume_run(batch: Batch, resources: Resources) -> None:
    """Let the queued jobs of a paused run go on."""
    pausing.resume(batch.id, store=resources.store, connection=resources.connection)


def retry_run(batch: Batch, resources: Resources) -> Batch:
    """Queue the jobs of a run that failed or were cancelled again, as a new run.

    Raises ConflictError if there are none, ForbiddenError, LaneFullError.
    """
    store = resources.store
    jobs = [job for page in store.ended_pages(batch.id, statuses=UNANSWERED) for job in page]
    if not jobs:
        raise ConflictError("Nothing to retry: no picture of this run failed or was cancelled.")
    check_files(jobs, resources)
    check_room(resources.store, resources.connection, Lane(jobs[0].lane), len(jobs), resources.settings)
    again = Batch(description=batch.description, kind=batch.kind, model=batch.model)
    made = resubmit(again, jobs, store=store, connection=resources.connection, dead=dead_runs(resources))
    if not made.queued + made.resumed:
        raise ConflictError("Nothing to retry: another run is captioning these pictures already.")
    return again


def dead_runs(resources: Resources) -> set[str]:
    """Return the ids of open batches whose command has ended."""
    return RunLocks(resources.settings).dead(resources.store.open_batches())
