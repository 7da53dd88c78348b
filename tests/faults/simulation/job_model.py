"""A model of the states of jobs in plain Python, beside the store: what each row has to say after each event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.store.poison_limits import MAX_DEATHS
from jobs.store.tables import OPEN, JobStatus, Lane


@dataclass
class ModelJob:
    """One acknowledged job."""

    id: str
    lane: Lane
    batch_id: str | None
    status: JobStatus = JobStatus.QUEUED
    worker: str | None = None
    attempts: int = 0
    deaths: int = 0
    text: str | None = None
    #: Number of times that the job ended: at most once, and exactly once when all is over.
    ends: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def state(self) -> tuple[object, ...]:
        """The columns of the row that the model knows."""
        return (self.status, self.attempts, self.deaths, self.text if self.status is JobStatus.SUCCEEDED else None)

    def end(self, status: JobStatus) -> None:
        self.status = status
        self.ends += 1


@dataclass
class JobModel:
    """All jobs that were acknowledged and not pruned."""

    max_attempts: int
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    #: Tokens of the answers of each batch.
    tokens: Counter[str] = field(default_factory=Counter)

    def add(self, job_id: str, lane: Lane, batch_id: str | None) -> None:
        """A request was acknowledged."""
        self.jobs[job_id] = ModelJob(job_id, lane, batch_id)

    def of_batch(self, batch_id: str) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.batch_id == batch_id]

    def of_worker(self, worker: str) -> list[ModelJob]:
        """Return the jobs that run on this worker."""
        return [job for job in self.jobs.values() if job.status is JobStatus.RUNNING and job.worker == worker]

    def claim(self, job_id: str, worker: str) -> None:
        """A worker began the job: the row was queued, and its run is not paused."""
        job = self.jobs[job_id]
        assert job.status is JobStatus.QUEUED, f"{worker} began {job}"
        assert job.batch_id not in self.paused, f"{worker} began {job} of a paused run"
        job.status, job.worker, job.attempts = JobStatus.RUNNING, worker, job.attempts + 1

    def may_end(self, job_id: str, worker: str, attempt: int) -> bool:
        """Tell whether this worker still has the attempt that it ends: else nothing may change."""
        job = self.jobs.get(job_id)
        return job is not None and (job.status, job.worker, job.attempts) == (JobStatus.RUNNING, worker, attempt)

    def succeed(self, job_id: str, text: str, tokens: int) -> None:
        job = self.jobs[job_id]
        job.text = text
        job.end(JobStatus.SUCCEEDED)
        self.tokens[job.batch_id or ""] += tokens

    def fail(self, job_id: str, *, transient: bool) -> None:
        job = self.jobs[job_id]
        if transient and job.attempts < self.max_attempts:
            job.status, job.worker = JobStatus.QUEUED, None
        else:
            job.end(JobStatus.FAILED)

    def cancel(self, jobs: list[ModelJob]) -> None:
        for job in jobs:
            if job.is_open:
                job.end(JobStatus.CANCELLED)

    def worker_ended(self, worker: str, *, died: bool, seen: Mapping[str, int] | None = None) -> None:
        """The jobs of a worker that has ended are taken back. `seen`: only those, if they are still in these attempts."""
        for job in self.of_worker(worker):
            if seen is not None and seen.get(job.id) != job.attempts:
                continue
            job.deaths += died
            if died and job.deaths >= MAX_DEATHS:
                job.end(JobStatus.FAILED)
            else:
                job.status, job.worker = JobStatus.QUEUED, None
