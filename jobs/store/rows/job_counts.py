"""Counts of jobs by batch, status and lane, exact and read without a look at the jobs.

`insert_rows` counts new rows. Triggers of the database count every change of a row and every deletion, whichever statement
makes it (migration 0019): an UPDATE that another part of the store adds cannot forget it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Index, Select, Table, func, select, text
from sqlmodel import Field, SQLModel

from jobs.store.rows.table_row import TableRow
from jobs.store.tables import OPEN, JobStatus


class JobCount(TableRow, table=True):
    """Number of jobs of one batch in one state and lane."""

    __tablename__ = "job_count"
    __table_args__ = (Index("job_count_status", "status", "lane"),)

    #: Empty: jobs without a batch.
    batch_id: str = Field(primary_key=True)
    status: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    #: 0 once all of them have left.
    number: int = Field(sa_column=Column(BigInteger, nullable=False))


_count: Table = SQLModel.metadata.tables["job_count"]
_ADD = text(
    "INSERT INTO job_count (batch_id, status, lane, number) VALUES (:batch_id, :status, :lane, :number) "
    "ON CONFLICT (batch_id, status, lane) DO UPDATE SET number = job_count.number + excluded.number"
)


def count_new(connection: Connection, numbers: Mapping[tuple[str | None, str, str], int]) -> None:
    """Count rows that this transaction inserts: how many of each batch, status and lane."""
    rows = [
        {"batch_id": batch_id or "", "status": str(status), "lane": str(lane), "number": number}
        for (batch_id, status, lane), number in numbers.items()
    ]
    connection.execute(_ADD, rows)


def counts_of(connection: Connection, batch_id: str | None) -> dict[JobStatus, int]:
    """Return the number of jobs in each status, of one batch or of all."""
    query = select(_count.c.status, func.sum(_count.c.number)).group_by(_count.c.status)
    if batch_id is not None:
        query = query.where(_count.c.batch_id == batch_id)
    found = {JobStatus(status): int(number) for status, number in connection.execute(query)}
    return dict.fromkeys(JobStatus, 0) | found


def open_in(counts: Mapping[JobStatus, int]) -> int:
    """Return how many jobs have not ended, out of the numbers in each state."""
    return sum(counts[status] for status in OPEN)


def counts_of_batches(connection: Connection, batch_ids: Sequence[str]) -> dict[str, dict[JobStatus, int]]:
    """Return the number of jobs in each status of some hundreds of batches."""
    query = select(_count.c.batch_id, _count.c.status, func.sum(_count.c.number))
    query = query.where(_count.c.batch_id.in_(batch_ids)).group_by(_count.c.batch_id, _count.c.status)
    found = {batch_id: dict.fromkeys(JobStatus, 0) for batch_id in batch_ids}
    for batch_id, status, number in connection.execute(query):
        found[batch_id][JobStatus(status)] = int(number)
    return found


def count_open(connection: Connection, batch_id: str) -> int:
    """Return the number of the batch's jobs that have not ended."""
    return _total(connection, OPEN, _count.c.batch_id == batch_id)


def count_running(connection: Connection) -> int:
    """Return the number of jobs that workers are running."""
    return _total(connection, [JobStatus.RUNNING])


def count_queued(connection: Connection, lane: str, batch_id: str | None = None) -> int:
    """Return the number of jobs that wait in a lane: all, those of a batch, or (empty) those without one."""
    conditions = [_count.c.lane == lane] + ([] if batch_id is None else [_count.c.batch_id == batch_id])
    return _total(connection, [JobStatus.QUEUED], *conditions)


def batches_with(statuses: Sequence[JobStatus]) -> Select[tuple[str]]:
    """Build the query of the ids of batches that have a job in one of these states."""
    return select(_count.c.batch_id).where(_count.c.status.in_(statuses), _count.c.number > 0)


def _total(connection: Connection, statuses: Iterable[JobStatus], *conditions: ColumnElement[bool]) -> int:
    query = select(func.coalesce(func.sum(_count.c.number), 0))
    return int(connection.execute(query.where(_count.c.status.in_(list(statuses)), *conditions)).scalar_one())
