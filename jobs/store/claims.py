"""Claims: the fencing tokens of jobs. A worker whose job was taken back writes nothing more about that job.

A claim counts a new attempt in the row. So a worker that was suspended for longer than its lease, and wakes up while another
worker runs the job, holds a claim that no row has any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Table, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import ClaimLostError
from jobs.store.connection import reading
from jobs.store.statements import CLAIMS, ROWS_A_STATEMENT
from jobs.store.tables import Job, JobStatus

_job: Table = SQLModel.metadata.tables["job"]


@dataclass(frozen=True)
class Claim:
    """One worker's right to run a job, and to write its outcome."""

    job_id: str
    #: The number of the attempt (`Job.attempts`).
    attempt: int
    worker: str

    @classmethod
    def of(cls, job: Job) -> Claim:
        """Return the claim of a job as `Store.claim` returned it."""
        assert job.worker is not None
        return cls(job.id, job.attempts, job.worker)

    @classmethod
    def of_running(cls, job: Job) -> Claim | None:
        """Return the claim of a job that runs; None: the job has ended, and no worker writes about it."""
        return cls.of(job) if job.status == JobStatus.RUNNING else None


def job_id_of(claim: Claim | str) -> str:
    """Return the id of the job. A claim may be given as the bare id: then every claim of the job will do."""
    return claim if isinstance(claim, str) else claim.job_id


def fence(claim: Claim | str) -> list[ColumnElement[bool]]:
    """Return the conditions under which a running row is the claim's; none for a bare id."""
    if isinstance(claim, str):
        return []
    return [_job.c.attempts == claim.attempt, _job.c.worker == claim.worker]


def check_claim(connection: Connection, claim: Claim | None) -> None:
    """Check that the job still runs in this claim. Raises ClaimLostError. None: no worker is writing."""
    if claim is None:
        return
    guard = (_job.c.id == claim.job_id, _job.c.status == JobStatus.RUNNING, *fence(claim))
    if connection.execute(select(_job.c.id).where(*guard)).first() is None:
        raise ClaimLostError


def lost_claims(engine: Engine, claims: Sequence[Claim]) -> dict[str, JobStatus | None]:
    """Return the jobs, out of these, that no longer run in their claim, with the status of the row. None: the row is gone."""
    found: dict[str, tuple[JobStatus, Claim]] = {}
    with reading(engine) as connection:
        for chunk in chunked(claims, ROWS_A_STATEMENT):
            ids = [claim.job_id for claim in chunk]
            for job_id, status, attempts, worker in connection.execute(CLAIMS, {"ids": ids}):
                found[job_id] = JobStatus(status), Claim(job_id, attempts, worker or "")
    lost: dict[str, JobStatus | None] = {}
    for claim in claims:
        status, now = found.get(claim.job_id, (None, None))
        if status != JobStatus.RUNNING or now != claim:
            lost[claim.job_id] = status
    return lost
