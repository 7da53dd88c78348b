"""Reading the system of record. Every method sees one consistent view, and takes no lock that a writer would wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, RowMapping, Table, exists, func, literal, select, tuple_
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import NotFoundError
from jobs.settings import Settings
from jobs.store.connection import open_database, reading
from jobs.store.output_writers import Writer, writers_of
from jobs.store.statements import ROWS_A_STATEMENT, SUMMARY
from jobs.store.tables import OPEN, Batch, Job, JobStatus

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]


@dataclass(frozen=True)
class JobSummary:
    """Of a row, what decides when its job may begin."""

    id: str
    status: str
    model: str
    deaths: int


class JobQueries:
    """Reads jobs and batches. Safe to use from several processes and threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._engine = open_database(settings)

    @property
    def engine(self) -> Engine:
        """The connection to the database, for those who keep other rows in it."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

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
        return None if row is None else as_job(row)

    def summaries(self, ids: Sequence[str]) -> dict[str, JobSummary]:
        """What decides about the turns of these jobs, of those that there are."""
        with reading(self._engine) as connection:
            rows = connection.execute(SUMMARY, {"ids": ids})
            return {row.id: JobSummary(row.id, row.status, row.model, row.deaths) for row in rows}

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
            for chunk in chunked(ids, ROWS_A_STATEMENT):
                rows = connection.execute(query.where(_job.c.id.in_(chunk)))
                found.update((job_id, JobStatus(status)) for job_id, status in rows)
        return found

    def those(self, ids: Sequence[str]) -> list[Job]:
        """These jobs, of those that there are; some hundreds at most."""
        with reading(self._engine) as connection:
            return [as_job(row) for row in connection.execute(select(_job).where(_job.c.id.in_(ids))).mappings()]

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

    def incomplete(self, before: float) -> list[str]:
        """Ids of batches that are not complete, and that got nothing at or after `before`, in seconds since the epoch."""
        newer = select(_job.c.id).where(_job.c.batch_id == _batch.c.id, _job.c.created_at >= before)
        query = select(_batch.c.id).where(_batch.c.complete.is_(False), _batch.c.created_at < before, ~exists(newer))
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

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
            return [as_job(row) for row in connection.execute(query.limit(limit)).mappings()]

    def writers(self, outputs: Sequence[str]) -> dict[str, Writer]:
        """The open jobs that write these files, by the files' addresses."""
        with reading(self._engine) as connection:
            return writers_of(connection, outputs)

    def open_batches(self) -> list[Batch]:
        """The batches that have open jobs."""
        open_job = select(_job.c.id).where(_job.c.batch_id == _batch.c.id, _job.c.status.in_(OPEN))
        with reading(self._engine) as connection:
            return [Batch(**row) for row in connection.execute(select(_batch).where(exists(open_job))).mappings()]

    def last_order(self, batch_id: str) -> int:
        """The `finished_order` of the batch's job that ended last; 0: none has ended."""
        query = select(func.coalesce(func.max(_job.c.finished_order), 0)).where(_job.c.batch_id == batch_id)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def written(self, outputs: Sequence[str]) -> dict[str, set[str]]:
        """The texts that captionq wrote to these files, by the addresses of the files; at most some hundreds."""
        query = select(_job.c.output, _job.c.text).where(
            _job.c.output.in_(outputs), _job.c.status == JobStatus.SUCCEEDED, _job.c.text.is_not(None)
        )
        found: dict[str, set[str]] = {}
        with reading(self._engine) as connection:
            for output, text in connection.execute(query):
                found.setdefault(output, set()).add(text)
        return found

    def counts(self, batch_id: str | None = None) -> dict[JobStatus, int]:
        """How many jobs there are in each status, of one batch or of all."""
        query = select(_job.c.status, func.count()).group_by(_job.c.status)
        if batch_id is not None:
            query = query.where(_job.c.batch_id == batch_id)
        counts = dict.fromkeys(JobStatus, 0)
        with reading(self._engine) as connection:
            counts.update({JobStatus(status): count for status, count in connection.execute(query)})
        return counts

    def finished_after(
        self, batch_id: str, order: int, *, statuses: Sequence[JobStatus] = (), limit: int = ROWS_A_STATEMENT
    ) -> list[Job]:
        """The batch's jobs that ended after the one with this `finished_order` (0: from the first), in that order."""
        query = select(_job).where(_job.c.batch_id == batch_id, _job.c.finished_order > order)
        if statuses:
            query = query.where(_job.c.status.in_(statuses))
        query = query.order_by(_job.c.finished_order).limit(limit)
        with reading(self._engine) as connection:
            return [as_job(row) for row in connection.execute(query).mappings()]

    def ended_pages(self, batch_id: str, *, statuses: Sequence[JobStatus] = ()) -> Iterator[list[Job]]:
        """The batch's jobs that have ended, in that order, some hundreds at a time; between two pages no view is held."""
        last = 0
        while page := self.finished_after(batch_id, last, statuses=statuses):
            last = page[-1].finished_order or last
            yield page

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


def as_job(row: RowMapping) -> Job:
    """The job of a whole row."""
    return Job(**row)
