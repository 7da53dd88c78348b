"""The system of record: every change of a job's state is one method and one transaction.

Each change is an `UPDATE … WHERE status IN (…)` guarded by the states it may leave, so of two that race one wins and the
other learns from the row count that it lost. Terminal states are final: no method leaves them. Nothing here deletes a row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Table,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.database import open_database, reading, writing
from jobs.errors import CaptionqError, NotFoundError, PoisonError
from jobs.settings import Settings
from jobs.statements import CLAIM, GLANCE, ending
from jobs.tables import OPEN, Batch, Job, JobStatus

#: Rows a statement: far below SQLite's limit of 32,766 variables a statement.
CHUNK = 500
#: A job whose worker died this often while it ran has killed it, and is given up.
MAX_DEATHS = 3

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]


@dataclass(frozen=True)
class Result:
    """What a generation gave: the text, its usage in tokens and where the time went in seconds."""

    text: str
    #: `stop` or `length`.
    finish_reason: str
    prompt_tokens: int
    #: Part of `prompt_tokens`.
    image_tokens: int
    completion_tokens: int
    preprocess_seconds: float
    prefill_seconds: float
    decode_seconds: float
    #: What was noticed about the text: `empty`, `repetition`.
    quality: str | None = None
    #: JSON in OpenAI's shape: `[{"token", "logprob", "bytes", "top_logprobs": […]}, …]`.
    logprobs: str | None = None


@dataclass(frozen=True)
class OpenOutput:
    """A job that is going to write a file, and the digest of its request."""

    id: str
    digest: str


@dataclass(frozen=True)
class Glance:
    """Of a row, what decides when its job may begin."""

    id: str
    status: str
    model: str
    deaths: int


@dataclass(frozen=True)
class Recovered:
    """What a dead worker left behind."""

    requeued: list[str]
    poisoned: list[str]


class Store:
    """Reads and changes jobs and batches. Safe to use from several processes and threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._engine = open_database(settings)

    @property
    def engine(self) -> Engine:
        """The connection to the database, for those who keep other rows in it."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    # -- making -------------------------------------------------------------------------------------

    def add_batch(self, batch: Batch) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(_batch).values(batch.model_dump()))

    def add(self, jobs: Sequence[Job]) -> None:
        """Write queued jobs in one transaction. Keep them to some hundreds: the worker cannot write meanwhile."""
        with writing(self._engine) as connection:
            connection.execute(insert(_job), [job.model_dump() for job in jobs])

    def adopt(self, ids: Sequence[str], batch_id: str) -> int:
        """Move open jobs of an interrupted run into the batch of the run that takes it up. Returns how many moved."""
        return sum(self._change(chunk, OPEN, batch_id=batch_id) for chunk in chunked(ids, CHUNK))

    # -- reading ------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"There is no job '{job_id}'. `captionq jobs list` shows the newest.")
        return job

    def find(self, job_id: str) -> Job | None:
        """The job, if there is such a one."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_job).where(_job.c.id == job_id)).mappings().one_or_none()
        return None if row is None else _as_job(row)

    def glance(self, ids: Sequence[str]) -> dict[str, Glance]:
        """What decides about the turns of these jobs, of those that there are."""
        with reading(self._engine) as connection:
            rows = connection.execute(GLANCE, {"ids": ids})
            return {row.id: Glance(row.id, row.status, row.model, row.deaths) for row in rows}

    def not_running(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids whose rows are not running (any more)."""
        query = select(_job.c.id).where(_job.c.id.in_(ids), _job.c.status == JobStatus.RUNNING)
        with reading(self._engine) as connection:
            running = set(connection.execute(query).scalars())
        return [job_id for job_id in ids if job_id not in running]

    def statuses(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Where these jobs are, of those that there are."""
        query = select(_job.c.id, _job.c.status)
        found: dict[str, JobStatus] = {}
        with reading(self._engine) as connection:
            for chunk in chunked(ids, CHUNK):
                rows = connection.execute(query.where(_job.c.id.in_(chunk)))
                found.update((job_id, JobStatus(status)) for job_id, status in rows)
        return found

    def those(self, ids: Sequence[str]) -> list[Job]:
        """These jobs, of those that there are; some hundreds at most."""
        with reading(self._engine) as connection:
            return [_as_job(row) for row in connection.execute(select(_job).where(_job.c.id.in_(ids))).mappings()]

    def open_ids(self, batch_id: str) -> list[str]:
        """Ids of the batch's jobs that have not ended."""
        query = select(_job.c.id).where(_job.c.batch_id == batch_id, _job.c.status.in_(OPEN))
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def batch(self, batch_id: str) -> Batch:
        """Raises NotFoundError."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_batch).where(_batch.c.id == batch_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no batch '{batch_id}'. `captionq jobs list` shows the newest.")
        return Batch(**row)

    def jobs(
        self,
        *,
        batch_id: str | None = None,
        statuses: Sequence[JobStatus] = (),
        limit: int | None = None,
        newest_first: bool = False,
        after: Job | None = None,
    ) -> list[Job]:
        """Jobs in the order in which they were made, or the newest first; `after`: only those that come after this one."""
        query = select(_job)
        if batch_id is not None:
            query = query.where(_job.c.batch_id == batch_id)
        if statuses:
            query = query.where(_job.c.status.in_(statuses))
        order = (_job.c.created_at, _job.c.id)
        if after is not None:
            here, there = tuple_(*order), tuple_(literal(after.created_at), literal(after.id))
            query = query.where(here < there if newest_first else here > there)
        query = query.order_by(*(column.desc() for column in order)) if newest_first else query.order_by(*order)
        with reading(self._engine) as connection:
            return [_as_job(row) for row in connection.execute(query.limit(limit)).mappings()]

    def open_outputs(self) -> dict[str, OpenOutput]:
        """The open jobs that write a file, by the address of that file."""
        query = select(_job.c.output, _job.c.id, _job.c.digest).where(
            _job.c.status.in_(OPEN), _job.c.output.is_not(None)
        )
        with reading(self._engine) as connection:
            return {output: OpenOutput(job_id, digest) for output, job_id, digest in connection.execute(query)}

    def counts(self, batch_id: str | None = None) -> dict[JobStatus, int]:
        """How many jobs there are in each status, of one batch or of all."""
        query = select(_job.c.status, func.count()).group_by(_job.c.status)
        if batch_id is not None:
            query = query.where(_job.c.batch_id == batch_id)
        counts = dict.fromkeys(JobStatus, 0)
        with reading(self._engine) as connection:
            counts.update({JobStatus(status): count for status, count in connection.execute(query)})
        return counts

    def finished_after(self, batch_id: str, order: int, limit: int = CHUNK) -> list[Job]:
        """The batch's jobs that ended after the one with this `finished_order` (0: from the first), in that order."""
        query = select(_job).where(_job.c.batch_id == batch_id, _job.c.finished_order > order)
        query = query.order_by(_job.c.finished_order).limit(limit)
        with reading(self._engine) as connection:
            return [_as_job(row) for row in connection.execute(query).mappings()]

    def last_ends(self, batch_id: str, limit: int) -> list[float]:
        """When the batch's jobs ended that ended last, in seconds since the epoch, the latest first."""
        query = select(_job.c.finished_at).where(_job.c.batch_id == batch_id, _job.c.finished_order.is_not(None))
        query = query.order_by(_job.c.finished_order.desc()).limit(limit)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def queued(self, older_than: float = 0.0) -> Iterator[tuple[str, str]]:
        """(id, lane) of every queued job made at least `older_than` seconds ago, in the order in which they were made."""
        query = select(_job.c.id, _job.c.lane)
        query = query.where(_job.c.status == JobStatus.QUEUED, _job.c.created_at <= time.time() - older_than)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_job.c.created_at, _job.c.id))
            yield from ((row.id, row.lane) for row in rows)

    # -- a job's way --------------------------------------------------------------------------------

    def claim(self, job_id: str, worker: str) -> Job | None:
        """queued → running. None: the row is not queued (any more), and the queue entry that led here is stale."""
        return self.claim_all([job_id], worker).get(job_id)

    def claim_all(self, ids: Sequence[str], worker: str) -> dict[str, Job]:
        """queued → running, for those of the ids whose rows are still queued: these jobs, by their ids."""
        now = time.time()
        values = {"status": JobStatus.RUNNING, "worker": worker, "started_at": now}
        with writing(self._engine) as connection:
            rows = connection.execute(CLAIM, {"ids": ids, "now": now, **values}).mappings().all()
        return {row["id"]: _as_job(row) for row in rows}

    def succeed(self, job_id: str, result: Result) -> bool:
        """running → succeeded, with the result. False: it was cancelled meanwhile, and the result is dropped."""
        return self._finish([job_id], (JobStatus.RUNNING,), JobStatus.SUCCEEDED, **asdict(result)) == 1

    def fail(self, job_id: str, error: CaptionqError, result: Result | None = None) -> bool:
        """queued or running → failed, with the error (and the result, when only writing it out failed)."""
        values = {} if result is None else asdict(result)
        error_values = {"error_code": error.code, "error_message": error.message}
        return self._finish([job_id], OPEN, JobStatus.FAILED, **error_values, **values) == 1

    def release(self, job_id: str, error: CaptionqError | None = None) -> bool:
        """running → queued: the worker stops before it is done, or a transient `error` is to be tried again."""
        values = {} if error is None else {"error_code": error.code, "error_message": error.message}
        return self._change([job_id], (JobStatus.RUNNING,), status=JobStatus.QUEUED, worker=None, **values) == 1

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """queued or running → cancelled. Returns the ids that this call cancelled; the others had ended."""
        cancelled: list[str] = []
        for chunk in chunked(ids, CHUNK):
            with writing(self._engine) as connection:
                query = select(_job.c.id).where(_job.c.id.in_(chunk), _job.c.status.in_(OPEN))
                open_ids = list(connection.execute(query).scalars())
                self._end(connection, open_ids, OPEN, JobStatus.CANCELLED)
                cancelled.extend(open_ids)
        return cancelled

    def recover(self, worker: str) -> Recovered:
        """What a dead worker of this name still ran goes back: running → queued, or → failed as `poison`.

        To be called by the one process that holds that name now.
        """
        with writing(self._engine) as connection:
            query = select(_job.c.id, _job.c.deaths).where(_job.c.status == JobStatus.RUNNING, _job.c.worker == worker)
            deaths = {row.id: row.deaths for row in connection.execute(query)}
            poisoned = [job_id for job_id, count in deaths.items() if count + 1 >= MAX_DEATHS]
            requeued = [job_id for job_id in deaths if job_id not in poisoned]
            error = PoisonError(f"The worker died {MAX_DEATHS} times while it ran this job; it was given up.")
            values = {"error_code": error.code, "error_message": error.message}
            for job_id in poisoned:
                died = deaths[job_id] + 1
                self._end(connection, [job_id], (JobStatus.RUNNING,), JobStatus.FAILED, deaths=died, **values)
            for chunk in chunked(requeued, CHUNK):
                self._update(
                    connection,
                    chunk,
                    (JobStatus.RUNNING,),
                    status=JobStatus.QUEUED,
                    worker=None,
                    deaths=_job.c.deaths + 1,
                )
        return Recovered(requeued=requeued, poisoned=poisoned)

    # -- the one guarded UPDATE -----------------------------------------------------------------------

    def _change(self, ids: Sequence[str], leaving: Sequence[JobStatus], **values: object) -> int:
        with writing(self._engine) as connection:
            return self._update(connection, ids, leaving, **values)

    def _finish(self, ids: Sequence[str], leaving: tuple[JobStatus, ...], status: JobStatus, **values: object) -> int:
        with writing(self._engine) as connection:
            return self._end(connection, ids, leaving, status, **values)

    def _end(
        self,
        connection: Connection,
        ids: Sequence[str],
        leaving: tuple[JobStatus, ...],
        status: JobStatus,
        **values: object,
    ) -> int:
        """To a terminal status; numbers each job within its batch in the order of their ends."""
        changed = 0
        for job_id in ids:
            end = {"job_id": job_id, "status": status, "finished_at": time.time(), **values}
            changed += connection.execute(ending(leaving), end).rowcount
        return changed

    def _update(
        self, connection: Connection, ids: Sequence[str], leaving: Sequence[JobStatus], **values: object
    ) -> int:
        guard: ColumnElement[bool] = _job.c.id.in_(ids) & _job.c.status.in_(leaving)
        return connection.execute(update(_job).where(guard).values(**values)).rowcount


def _as_job(row: RowMapping) -> Job:
    return Job(**row)
