"""The first waiting job of a batch."""

from __future__ import annotations

from sqlalchemy import Engine, Table, select
from sqlmodel import SQLModel

from jobs.store.connection import reading
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]


def first_waiting(engine: Engine, batch_id: str) -> tuple[str, str] | None:
    """Return lane and id of the batch's queued job that was made first; None: no job of the batch waits."""
    # Not by the id alone: its random part orders jobs of one millisecond.
    query = select(_job.c.lane, _job.c.id).where(_job.c.batch_id == batch_id, _job.c.status == JobStatus.QUEUED)
    query = query.order_by(_job.c.created_at, _job.c.id).limit(1)
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else (row.lane, row.id)
