"""Recovery of jobs that a dead worker was running: back to the queue, or failed as poison."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Table, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import PoisonError
from jobs.store.poison_limits import MAX_DEATHS
from jobs.store.state_changes import end_jobs, update_jobs
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]


@dataclass(frozen=True)
class Recovered:
    """Ids of the jobs that a dead worker was running."""

    requeued: list[str]
    poisoned: list[str]


def take_back(connection: Connection, worker: str, *, died: bool, keeping: Collection[str]) -> Recovered:
    """Bring the jobs that the dead worker was running back to queued, or to failed; see `Store.recover`."""
    query = select(_job.c.id, _job.c.deaths).where(_job.c.status == JobStatus.RUNNING, _job.c.worker == worker)
    deaths = {row.id: row.deaths for row in connection.execute(query) if row.id not in keeping}
    poisoned = [job_id for job_id, count in deaths.items() if died and count + 1 >= MAX_DEATHS]
    requeued = [job_id for job_id in deaths if job_id not in poisoned]
    error = PoisonError(f"The worker died {MAX_DEATHS} times while running this job, so the job was given up.")
    values = {"error_code": error.code, "error_message": error.message}
    for job_id in poisoned:
        count = deaths[job_id] + 1
        end_jobs(connection, [job_id], (JobStatus.RUNNING,), JobStatus.FAILED, deaths=count, **values)
    for chunk in chunked(requeued, ROWS_A_STATEMENT):
        update_jobs(
            connection,
            chunk,
            (JobStatus.RUNNING,),
            status=JobStatus.QUEUED,
            worker=None,
            deaths=_job.c.deaths + int(died),
        )
    return Recovered(requeued=requeued, poisoned=poisoned)
