"""Cancelling whole batches: some thousands of rows a statement, and other writers have their turn in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, func, select, update
from sqlmodel import SQLModel

from jobs.store.connection import bulk_pause, writing
from jobs.store.tables import OPEN, JobStatus

_job: Table = SQLModel.metadata.tables["job"]

#: Rows that one transaction cancels: other writers wait for some tens of milliseconds.
ROWS_A_TRANSACTION = 2000


@dataclass(frozen=True)
class CancelledJob:
    """The part of a cancelled row that says who has to hear of it."""

    id: str
    #: The worker that was running the job.
    worker: str | None
    streamed: bool


def cancel_batch(engine: Engine, batch_id: str) -> Iterator[list[CancelledJob]]:
    """Cancel the batch's open jobs, and yield the cancelled rows of each transaction.

    A caller that stops half-way leaves the other rows open. A row that is queued again meanwhile is cancelled too.
    """
    while True:
        with writing(engine) as connection:
            cancelled = _cancel_some(connection, batch_id)
        if cancelled:
            yield cancelled
        if len(cancelled) < ROWS_A_TRANSACTION:
            return
        bulk_pause(engine)


def _cancel_some(connection: Connection, batch_id: str) -> list[CancelledJob]:
    """Cancel a transaction's share of rows, numbered in the order of the ends as `end_jobs` does."""
    in_batch = _job.c.batch_id == batch_id
    last = select(func.coalesce(func.max(_job.c.finished_order), 0)).where(in_batch, _job.c.finished_order.is_not(None))
    some = select(_job.c.id).where(in_batch, _job.c.status.in_(OPEN)).limit(ROWS_A_TRANSACTION).subquery()
    places = select(some.c.id, func.row_number().over(order_by=some.c.id).label("place")).subquery()
    change = (
        update(_job)
        .where(_job.c.id == places.c.id, _job.c.status.in_(OPEN))
        .values(
            status=JobStatus.CANCELLED,
            finished_at=time.time(),
            finished_order=connection.execute(last).scalar_one() + places.c.place,
        )
        .returning(_job.c.id, _job.c.worker, _job.c.streamed)
    )
    return [CancelledJob(*row) for row in connection.execute(change)]
