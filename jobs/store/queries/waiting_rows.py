"""The rows that wait: which runs have any, and the next rows of each. Ended rows cost these queries nothing.

The status is written into the statements: only then do both databases use the index of the waiting rows (`job_waiting`).
Statements of each feeding are built once: building one takes four times as long as executing it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Table, bindparam, func, literal, or_, select, text, tuple_
from sqlmodel import SQLModel

from jobs.store.connection import reading
from jobs.store.rows.job_counts import count_queued
from jobs.store.tables import Job, Lane

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_WAITS: ColumnElement[bool] = text("job.status = 'queued'")  # type: ignore[assignment]  # a text clause is a condition too

# From each batch with waiting rows straight to the next one: as many steps in the index as there are such batches.
_RUNS = text("""
    WITH RECURSIVE waiting(batch_id) AS (
      SELECT CAST('' AS VARCHAR)
      UNION ALL
      SELECT (
        SELECT job.batch_id FROM job
        WHERE job.status = 'queued' AND job.lane = :lane AND job.batch_id > waiting.batch_id
        ORDER BY job.batch_id LIMIT 1
      )
      FROM waiting WHERE waiting.batch_id IS NOT NULL
    )
    SELECT batch.id, batch.priority, batch.overtakes, batch.created_at
    FROM waiting JOIN batch ON batch.id = waiting.batch_id WHERE batch.paused_at IS NULL
""")

_of_lane = (_WAITS, _job.c.lane == bindparam("lane"))
_order = (_job.c.position, _job.c.id)
_ANY = select(_job.c.id).where(*_of_lane).limit(1)
_SINGLE = select(_job.c.id).where(*_of_lane, _job.c.batch_id.is_(None)).limit(1)
_ROWS = select(*_order).where(*_of_lane).order_by(*_order).limit(bindparam("page"))
_ROWS_OF_RUN, _ROWS_OF_NONE = (
    _ROWS.where(of_run) for of_run in (_job.c.batch_id == bindparam("batch_id"), _job.c.batch_id.is_(None))
)
_after = tuple_(*_order) > tuple_(bindparam("last_position"), bindparam("last_id"))
_RUNS_OF = select(_job.c.id, _job.c.batch_id).where(_job.c.id.in_(bindparam("ids", expanding=True)), _WAITS)
# Rows from the future are old: the clock was set back.
_is_old = or_(_job.c.created_at <= bindparam("latest"), _job.c.created_at > bindparam("future"))
_IDS = (
    select(_job.c.id)
    .join_from(_job, _batch, isouter=True)
    .where(*_of_lane, _is_old, _batch.c.paused_at.is_(None))
    .order_by(_job.c.created_at, _job.c.id)
)


@dataclass(frozen=True)
class WaitingRun:
    """A batch with rows that wait. All rows without a batch are one run, which is as new as any."""

    batch_id: str | None
    priority: int = 0
    overtakes: bool = False
    created_at: float = math.inf


def waiting_runs(connection: Connection, lane: Lane) -> list[WaitingRun]:
    """Return the runs that have waiting rows in a lane and are not paused."""
    found = connection.execute(_RUNS, {"lane": lane})
    runs = [WaitingRun(row.id, row.priority, bool(row.overtakes), row.created_at) for row in found]
    if connection.execute(_SINGLE, {"lane": lane}).first() is not None:
        runs.append(WaitingRun(None))
    return runs


def next_rows(connection: Connection, lane: Lane, batch_id: str | None, page: int) -> Iterator[str]:
    """Yield the ids of a run's waiting rows in their order, read a page at a time."""
    query = _ROWS_OF_NONE if batch_id is None else _ROWS_OF_RUN
    values = {"lane": lane, "batch_id": batch_id, "page": page}
    rows = connection.execute(query, values).all()
    while rows:
        yield from (row.id for row in rows)
        if len(rows) < page:
            return
        last = {"last_position": rows[-1].position, "last_id": rows[-1].id}
        rows = connection.execute(query.where(_after), values | last).all()


def first_rows(
    connection: Connection, column: ColumnElement[object], lane: Lane, batch_id: str, most: int
) -> Sequence[object]:
    """Return a column of up to `most` rows of a batch that wait in a lane, in their order."""
    query = select(column).select_from(_job).where(*_of_lane, _job.c.batch_id == batch_id).order_by(*_order).limit(most)
    return connection.execute(query, {"lane": lane}).scalars().all()


def runs_of(connection: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    """Return the batches of these jobs, at most some hundreds, by the jobs' ids. Jobs that do not wait are left out."""
    return {row.id: row.batch_id for row in connection.execute(_RUNS_OF, {"ids": ids})}


def waiting_ids(engine: Engine, lane: Lane, older_than: float) -> list[str]:
    """Return the ids of all waiting jobs of a lane that are at least `older_than` seconds old, the oldest first.

    Jobs of paused batches are left out. For the lane of which only few jobs wait.
    """
    now = time.time()
    values = {"lane": lane, "latest": now - older_than, "future": now + older_than}
    with reading(engine) as connection:
        return list(connection.execute(_IDS, values).scalars())


def has_waiting(engine: Engine, lane: Lane) -> bool:
    """Return whether a row waits in a lane, if only one of a paused run."""
    with reading(engine) as connection:
        return connection.execute(_ANY, {"lane": lane}).first() is not None


def count_waiting(engine: Engine, lane: Lane) -> int:
    """Count the rows that wait in a lane, also those of paused runs."""
    with reading(engine) as connection:
        return count_queued(connection, lane)


def count_of_run(connection: Connection, lane: Lane, batch_id: str | None, most: int | None = None) -> int:
    """Count the waiting rows of a run. `most`: stop counting there."""
    if most is None:
        return count_queued(connection, lane, batch_id or "")
    return _count(connection, (_job.c.lane == lane) & (_job.c.batch_id == batch_id), most)


def count_before(connection: Connection, job: Job) -> int:
    """Count the waiting rows of a job's run that go before the job."""
    here, there = tuple_(_job.c.position, _job.c.id), tuple_(literal(job.position), literal(job.id))
    return _count(connection, (_job.c.lane == job.lane) & (_job.c.batch_id == job.batch_id) & (here < there))


def _count(connection: Connection, condition: ColumnElement[bool], most: int | None = None) -> int:
    rows = select(_job.c.id).where(_WAITS, condition).limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(rows)).scalar_one())
