"""Rows of a batch's lines: added in the order of the file, read in pages with the jobs that answer them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, Table, and_, case, func, insert, or_, select
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from jobs.errors import InvalidJSONAnswerError
from jobs.store.connection import reading, writing
from jobs.store.file_batches.batch_tables import FileBatch, FileLine, ResultPart
from jobs.store.file_batches.file_batch_rows import has_status
from jobs.store.rows.job_counts import count_open
from jobs.store.rows.vocabularies import with_words
from jobs.store.tables import OPEN, Job, JobStatus
from jobs.store.written.output_writers import insert_jobs

#: Lines that are read at a time: each may have an answer of a hundred thousand characters.
LINES_A_PAGE = 100

_job: Table = SQLModel.metadata.tables["job"]
_line: Table = SQLModel.metadata.tables["file_line"]

#: JSON that was cut off is an answer with the finish reason `length`, as in OpenAI's API.
_answered = or_(_job.c.status == JobStatus.SUCCEEDED, _job.c.error_code == InvalidJSONAnswerError.code)
_ended = or_(_line.c.job_id.is_(None), _job.c.status.not_in(OPEN))
_errored = or_(_line.c.refusal.is_not(None), _job.c.status == JobStatus.FAILED)
_parts: dict[ResultPart, ColumnElement[bool]] = {
    ResultPart.OUTPUT: and_(_ended, _answered),
    # A line without a job has NULL in the job's columns.
    ResultPart.ERRORS: and_(_ended, or_(_line.c.job_id.is_(None), ~func.coalesce(_answered, False))),
}


@dataclass(frozen=True)
class EndedLine:
    """A line with its job; None: it was refused or closed."""

    line: FileLine
    job: Job | None

    @property
    def is_answered(self) -> bool:
        """Whether the line belongs to the output."""
        job = self.job
        return job is not None and (job.status == JobStatus.SUCCEEDED or job.error_code == InvalidJSONAnswerError.code)


@dataclass(frozen=True)
class Place:
    """The place in a file up to which lines have had their turn."""

    number: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Tally:
    """Counts of a batch's lines, and the tokens of its answers."""

    #: Lines that have had their turn.
    lines: int = 0
    completed: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    #: Part of the prompt tokens: those of answers that are earlier ones.
    cached_tokens: int = 0
    completion_tokens: int = 0
    #: Part of the failed lines: those that were refused, or whose jobs failed. The other ones were closed or cancelled.
    errored: int = 0


class FileLines:
    """Table of lines. Safe to use from several processes and threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def place(self, batch_id: str) -> Place:
        """Return the place behind the last line that has had its turn."""
        query = select(_line.c.number, _line.c.end_offset).where(_line.c.batch_id == batch_id)
        with reading(self._engine) as connection:
            row = connection.execute(query.order_by(_line.c.number.desc()).limit(1)).one_or_none()
        return Place() if row is None else Place(*row)

    def add(self, batch: FileBatch, lines: Sequence[FileLine], jobs: Sequence[Job], *, after: Place) -> bool:
        """Add the lines behind a place, and their jobs, in one transaction: each line has its turn once.

        Returns False, and adds nothing, if the batch has left its status, or if another process was faster.
        """
        with writing(self._engine) as connection:
            last = select(func.coalesce(func.max(_line.c.number), 0)).where(_line.c.batch_id == batch.id)
            if (
                not has_status(connection, batch.id, batch.status)
                or connection.execute(last).scalar_one() != after.number
            ):
                return False
            if jobs:
                insert_jobs(connection, jobs)
            connection.execute(insert(_line), [line.model_dump() for line in lines])
            return True

    def count_open(self, batch_id: str) -> int:
        """Count the batch's jobs that have not ended."""
        with reading(self._engine) as connection:
            return count_open(connection, batch_id)

    def tally(self, batch_id: str) -> Tally:
        """Count the lines, and add up the tokens."""
        answered = case((_parts[ResultPart.OUTPUT], 1), else_=0)
        failed = case((_parts[ResultPart.ERRORS], 1), else_=0)
        prompt = case((_answered, _job.c.prompt_tokens), else_=0)
        sums = (
            answered,
            failed,
            prompt,
            case((_job.c.cached, prompt), else_=0),
            case((_answered, _job.c.completion_tokens), else_=0),
            case((and_(_parts[ResultPart.ERRORS], _errored), 1), else_=0),
        )
        query = select(func.count(), *(func.coalesce(func.sum(one), 0) for one in sums))
        query = query.select_from(_line.outerjoin(_job)).where(_line.c.batch_id == batch_id)
        with reading(self._engine) as connection:
            return Tally(*map(int, connection.execute(query).one()))

    def pages(self, batch_id: str, part: ResultPart | None = None) -> Iterator[list[EndedLine]]:
        """Yield pages of the lines that have ended, in the order of the file. Between two pages no view is held.

        Args:
            part: of the results; None: both parts.
        """
        last = 0
        while page := self._page(batch_id, last, _ended if part is None else _parts[part]):
            yield page
            last = page[-1].line.number

    def of_jobs(self, batch_id: str, jobs: Sequence[Job]) -> list[EndedLine]:
        """Return the lines of some hundreds of jobs, in the order of the jobs."""
        by_id = {job.id: job for job in jobs}
        query = select(_line).where(_line.c.batch_id == batch_id, _line.c.job_id.in_(by_id))
        with reading(self._engine) as connection:
            lines = {row["job_id"]: FileLine(**row) for row in connection.execute(query).mappings()}
        return [EndedLine(lines[job.id], job) for job in jobs if job.id in lines]

    def _page(self, batch_id: str, after: int, is_of_part: ColumnElement[bool]) -> list[EndedLine]:
        query = select(FileLine, Job).outerjoin_from(FileLine, Job).order_by(_line.c.number).limit(LINES_A_PAGE)
        query = query.where(_line.c.batch_id == batch_id, _line.c.number > after, is_of_part)
        # By a session: it loads rows several times faster than the classes are constructed.
        with reading(self._engine) as connection, Session(connection) as session:
            page = [EndedLine(line, job) for line, job in session.execute(query)]
            for job in (one.job for one in page if one.job is not None):
                job.request = with_words(connection, job.request)
            return page
