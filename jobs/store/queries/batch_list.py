"""The newest batches, with the number of their jobs by status."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, Table, select, tuple_
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.store.connection import reading
from jobs.store.rows.job_counts import counts_of_batches
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import Batch, BatchKind, JobStatus

_batch: Table = SQLModel.metadata.tables["batch"]


@dataclass(frozen=True)
class CountedBatch:
    """A batch and its numbers of jobs; every status has one."""

    batch: Batch
    counts: dict[JobStatus, int]


def newest_batches(engine: Engine, limit: int, before: tuple[float, str] | None = None) -> list[CountedBatch]:
    """Return the newest batches, newest first. Samples are left out: they belong to the run that may follow.

    `before`: those that are older than the batch of this time and id.
    """
    shown = select(_batch).where(_batch.c.kind != BatchKind.SAMPLE)
    newest = shown.order_by(_batch.c.created_at.desc(), _batch.c.id.desc()).limit(limit)
    if before is not None:
        newest = newest.where(tuple_(_batch.c.created_at, _batch.c.id) < before)
    with reading(engine) as connection:
        batches = [Batch(**row) for row in connection.execute(newest).mappings()]
        counts: dict[str, dict[JobStatus, int]] = {}
        for ids in chunked([batch.id for batch in batches], ROWS_A_STATEMENT):
            counts |= counts_of_batches(connection, ids)
    return [CountedBatch(batch, counts[batch.id]) for batch in batches]
