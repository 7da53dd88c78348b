"""Recovery of jobs that a dead worker was running: back to the queue, or failed as poison."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, Table, select, tuple_, update
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import PoisonError
from jobs.store.claims import Claim
from jobs.store.connection import reading, writing
from jobs.store.poison_limits import MAX_DEATHS
from jobs.store.state_changes import end_jobs
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]


@dataclass(frozen=True)
class Recovered:
    """Ids of the jobs that a dead worker was running."""

    worker: str
    requeued: list[str] = field(default_factory=list)
    poisoned: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _RunningJob:
    """A running job as recovery saw it."""

    claim: Claim
    deaths: int


def busy_workers(engine: Engine) -> set[str]:
    """Return the names of all workers that have running jobs, alive or not."""
    query = select(_job.c.worker).where(_job.c.status == JobStatus.RUNNING, _job.c.worker.is_not(None)).distinct()
    with reading(engine) as connection:
        return set(connection.execute(query).scalars())


def running_outputs(engine: Engine, worker: str) -> list[str]:
    """Return the addresses of the files that the worker's running jobs write."""
    query = select(_job.c.output).where(
        _job.c.status == JobStatus.RUNNING, _job.c.worker == worker, _job.c.output.is_not(None)
    )
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def take_back(engine: Engine, worker: str, *, died: bool, keeping: Collection[str] = ()) -> Recovered:
    """Bring the worker's running jobs back to queued, or to failed, some hundreds in a transaction; see `Store.recover`."""
    columns = (_job.c.id, _job.c.attempts, _job.c.deaths)
    query = select(*columns).where(_job.c.status == JobStatus.RUNNING, _job.c.worker == worker)
    with reading(engine) as connection:
        seen = [
            _RunningJob(Claim(row.id, row.attempts, worker), row.deaths)
            for row in connection.execute(query)
            if row.id not in keeping
        ]
    recovered = Recovered(worker)
    for chunk in chunked(seen, ROWS_A_STATEMENT):
        with writing(engine) as connection:
            requeued, poisoned = _take_back(connection, chunk, died=died)
        recovered.requeued.extend(requeued)
        recovered.poisoned.extend(poisoned)
    return recovered


def _take_back(connection: Connection, seen: Sequence[_RunningJob], *, died: bool) -> tuple[list[str], list[str]]:
    """Bring jobs back whose row is still in the claim in which it was seen. Returns the ids of those requeued and given up."""
    poisoned = [one for one in seen if died and one.deaths + 1 >= MAX_DEATHS]
    error = PoisonError(f"The worker died {MAX_DEATHS} times while running this job, so the job was given up.")
    values = {"error_code": error.code, "error_message": error.message}
    given_up = [
        one.claim.job_id
        for one in poisoned
        if end_jobs(connection, [one.claim], (JobStatus.RUNNING,), JobStatus.FAILED, deaths=one.deaths + 1, **values)
    ]
    others = [(one.claim.job_id, one.claim.attempt) for one in seen if one not in poisoned]
    requeued: list[str] = []
    if others:
        is_as_seen = (_job.c.status == JobStatus.RUNNING, tuple_(_job.c.id, _job.c.attempts).in_(others))
        back = (
            update(_job)
            .where(*is_as_seen)
            .values(status=JobStatus.QUEUED, worker=None, deaths=_job.c.deaths + int(died))
        )
        requeued = list(connection.execute(back.returning(_job.c.id)).scalars())
    return requeued, given_up
