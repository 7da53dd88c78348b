"""Queries of the system of record. Each sees one consistent view, and takes no lock that a writer would wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, Table, exists, func, or_, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.errors import NotFoundError
from jobs.store.connection import open_database, reading
from jobs.store.queries.job_pages import page_of_jobs
from jobs.store.rows.job_counts import batches_with, counts_of, open_in
from jobs.store.rows.vocabularies import with_words
from jobs.store.statements import EACH_OUTPUT, ROWS_A_STATEMENT, SUMMARY, has_output, outputs_parameter
from jobs.store.tables import OPEN, Batch, BatchKind, Job, JobStatus
from jobs.store.written.output_writers import Writer, writers_of
from jobs.store.written.written_texts import WrittenText

#: Seconds by which clocks of machines may differ.
_CLOCKS_DIFFER = 60.0

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
#: The conditions that a job has written a text, or was about to.
_IS_WRITTEN = (or_(_job.c.status == JobStatus.SUCCEEDED, _job.c.output_after.is_not(None)), _job.c.text.is_not(None))
#: Few files of a large folder are of other programs: those that are not are not sent.
_UNWRITTEN = select(EACH_OUTPUT.c.value).where(
    ~exists(select(_job.c.id).where(_job.c.output == EACH_OUTPUT.c.value, *_IS_WRITTEN))
)


@dataclass(frozen=True)
class JobSummary:
    """The columns of a job that decide when it may begin."""

    id: str
    status: str
    model: str
    deaths: int


class JobQueries:
    """Queries of jobs and batches. Safe to use from several processes and threads at once."""

    def __init__(self, settings: Settings, writer_wait: float | None = None) -> None:
        """Open the database; `writer_wait`: see `open_database`."""
        self._engine = open_database(settings, writer_wait)

    @property
    def engine(self) -> Engine:
        """The connection to the database, for stores of other rows in it."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def job(self, job_id: str) -> Job:
        """Return a job. Raises NotFoundError."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"Job '{job_id}' does not exist. `captionq jobs list` shows the newest.")
        return job

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None if it does not exist."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_job).where(_job.c.id == job_id)).mappings().one_or_none()
            return None if row is None else as_job(row, connection)

    def summaries(self, ids: Sequence[str]) -> dict[str, JobSummary]:
        """Return summaries of these jobs by id. Unknown ids are left out."""
        with reading(self._engine) as connection:
            rows = connection.execute(SUMMARY, {"ids": ids})
            return {row.id: JobSummary(row.id, row.status, row.model, row.deaths) for row in rows}

    def statuses(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Return the statuses of these jobs by id. Unknown ids are left out."""
        query = select(_job.c.id, _job.c.status)
        found: dict[str, JobStatus] = {}
        with reading(self._engine) as connection:
            for chunk in chunked(ids, ROWS_A_STATEMENT):
                rows = connection.execute(query.where(_job.c.id.in_(chunk)))
                found.update((job_id, JobStatus(status)) for job_id, status in rows)
        return found

    def those(self, ids: Sequence[str]) -> list[Job]:
        """Return these jobs, at most some hundreds. Unknown ids are left out."""
        with reading(self._engine) as connection:
            return [
                as_job(row, connection) for row in connection.execute(select(_job).where(_job.c.id.in_(ids))).mappings()
            ]

    def with_listeners(self, batch_id: str) -> list[Job]:
        """Return the batch's open jobs whose end concerns a process at once: a worker runs them, or a client may follow them."""
        concerns = or_(_job.c.worker.is_not(None), _job.c.streamed)
        query = select(_job).where(_job.c.batch_id == batch_id, _job.c.status.in_(OPEN), concerns)
        with reading(self._engine) as connection:
            return [as_job(row, connection) for row in connection.execute(query).mappings()]

    def batch(self, batch_id: str) -> Batch:
        """Return a batch. Raises NotFoundError."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_batch).where(_batch.c.id == batch_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"Batch '{batch_id}' does not exist. `captionq jobs batches` shows the newest.")
        return Batch(**row)

    def incomplete(self, before: float) -> list[str]:
        """Return ids of incomplete batches that were made, and got their last job, before `before` (seconds since the epoch).

        Batches of files are left out: they outlive their makers (`jobs/batches/runner.py`).
        """
        # Rows from the future are old: the clock was set back.
        future = max(time.time(), before) + _CLOCKS_DIFFER
        # Each status is named, so that the index on batch, status and time is used.
        newer = select(_job.c.id).where(
            _job.c.batch_id == _batch.c.id,
            _job.c.status.in_(list(JobStatus)),
            _job.c.created_at.between(before, future),
        )
        is_old = or_(_batch.c.created_at < before, _batch.c.created_at > future)
        old = (_batch.c.complete.is_(False), _batch.c.kind != BatchKind.FILE, is_old)
        query = select(_batch.c.id).where(*old, ~exists(newer))
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
        needs_review: bool = False,
    ) -> list[Job]:
        """Return jobs in the order in which they were made.

        Args:
            statuses: only jobs in one of these; empty: in any.
            limit: the most jobs to return; None: all.
            newest_first: reverse the order.
            after: only jobs that come after this one in that order.
            needs_review: only jobs whose answer a person should look at.
        """
        query = page_of_jobs(
            batch_id, statuses, limit, newest_first=newest_first, after=after, needs_review=needs_review
        )
        with reading(self._engine) as connection:
            return [as_job(row, connection) for row in connection.execute(query).mappings()]

    def writers(self, outputs: Sequence[str]) -> dict[str, Writer]:
        """Return the open jobs that write these files, by the files' addresses."""
        with reading(self._engine) as connection:
            return writers_of(connection, outputs)

    def open_batches(self) -> list[Batch]:
        """Return the batches that have open jobs."""
        query = select(_batch).where(_batch.c.id.in_(batches_with(OPEN)))
        with reading(self._engine) as connection:
            return [Batch(**row) for row in connection.execute(query).mappings()]

    def last_order(self, batch_id: str) -> int:
        """Return the `finished_order` of the batch's job that ended last; 0: none has ended."""
        has_ended = (_job.c.batch_id == batch_id, _job.c.finished_order.is_not(None))
        query = select(func.coalesce(func.max(_job.c.finished_order), 0)).where(*has_ended)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def written(self, outputs: Sequence[str]) -> dict[str, list[WrittenText]]:
        """Return the texts that captionq wrote to these files (at most some hundreds), by address, the oldest first."""
        names = ("digest", "status", "text", "output_after", "output_text", "previous_text", "delivery")
        columns = [_job.c[name] for name in names]
        query = select(_job.c.output, *columns).where(*_IS_WRITTEN)
        query = query.order_by(_job.c.created_at, _job.c.id)
        found: dict[str, list[WrittenText]] = {}
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(has_output(connection)), outputs_parameter(connection, outputs))
            for output, *values in rows:
                found.setdefault(output, []).append(WrittenText(*values))
        return found

    def unwritten(self, outputs: Sequence[str]) -> set[str]:
        """Return those of these files (at most some hundreds, by address) of which `written` would return no text."""
        if not outputs:
            return set()
        with reading(self._engine) as connection:
            parameter = outputs_parameter(connection, outputs)
            if connection.dialect.name == "sqlite":
                return set(connection.execute(_UNWRITTEN, parameter).scalars())
            # An index finds them, whatever the planner thinks of the opposite.
            query = select(_job.c.output).where(*_IS_WRITTEN, has_output(connection))
            return set(outputs).difference(connection.execute(query, parameter).scalars())

    def counts(self, batch_id: str | None = None) -> dict[JobStatus, int]:
        """Count the jobs in each status, of one batch or of all."""
        with reading(self._engine) as connection:
            return counts_of(connection, batch_id)

    def open_jobs(self, batch_id: str) -> int:
        """Count the batch's jobs that have not ended, by one look: a job that is handed back changes its status between two."""
        return open_in(self.counts(batch_id))

    def finished_after(
        self, batch_id: str, order: int, *, statuses: Sequence[JobStatus] = (), limit: int = ROWS_A_STATEMENT
    ) -> list[Job]:
        """Return the batch's jobs that ended after the job with this `finished_order`, in that order. 0: from the first."""
        query = select(_job).where(_job.c.batch_id == batch_id, _job.c.finished_order > order)
        if statuses:
            query = query.where(_job.c.status.in_(statuses))
        query = query.order_by(_job.c.finished_order).limit(limit)
        with reading(self._engine) as connection:
            return [as_job(row, connection) for row in connection.execute(query).mappings()]

    def ended_pages(self, batch_id: str, *, statuses: Sequence[JobStatus] = ()) -> Iterator[list[Job]]:
        """Yield pages of the batch's ended jobs in the order of their ends. Between two pages no view is held."""
        last = 0
        while page := self.finished_after(batch_id, last, statuses=statuses):
            last = page[-1].finished_order or last
            yield page

    def last_ends(self, batch_id: str, limit: int) -> list[float]:
        """Return the times (seconds since the epoch) of the batch's last ends, the latest first."""
        query = select(_job.c.finished_at).where(_job.c.batch_id == batch_id, _job.c.finished_order.is_not(None))
        query = query.order_by(_job.c.finished_order.desc()).limit(limit)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())


def as_job(row: RowMapping, connection: Connection) -> Job:
    """Convert a whole row. Its vocabulary is read with the same connection."""
    return Job(**{**row, "request": with_words(connection, row["request"])})
