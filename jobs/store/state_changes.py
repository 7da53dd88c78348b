"""Guarded UPDATEs, within a write transaction, that every change of a job's state consists of."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Table, and_, update
from sqlmodel import SQLModel

from jobs.store.pictures.search_words import index_words
from jobs.store.statements import SEARCHED, ending
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]


def end_jobs(
    connection: Connection,
    ids: Sequence[str],
    leaving: tuple[JobStatus, ...],
    status: JobStatus,
    **values: object,
) -> int:
    """Bring the jobs whose status is one of `leaving` to a terminal status. Returns how many ended.

    Each job is numbered within its batch in the order of the ends (`finished_order`).
    """
    changed = 0
    for job_id in ids:
        end = {"job_id": job_id, "status": status, "finished_at": time.time(), **_storable(values)}
        if (row := connection.execute(ending(leaving), end).one_or_none()) is not None:
            index_words(connection, row)
            changed += 1
    return changed


def update_jobs(
    connection: Connection,
    ids: Sequence[str],
    leaving: Sequence[JobStatus],
    *guards: ColumnElement[bool],
    **values: object,
) -> int:
    """Set columns of the jobs whose status is one of `leaving`. Returns how many changed."""
    guard = and_(_job.c.id.in_(ids), _job.c.status.in_(leaving), *guards)
    return connection.execute(update(_job).where(guard).values(**_storable(values))).rowcount


def change_caption(connection: Connection, job_id: str, leaving: Sequence[JobStatus], **values: object) -> bool:
    """Set columns of a person's review of a job whose status is one of `leaving`. Returns whether the job changed."""
    guard = and_(_job.c.id == job_id, _job.c.status.in_(leaving))
    change = update(_job).where(guard).values(**_storable(values)).returning(*SEARCHED)
    row = connection.execute(change).one_or_none()
    if row is not None:
        index_words(connection, row)
    return row is not None


def _storable(values: Mapping[str, object]) -> dict[str, object]:
    """Turn lists into JSON, and replace NUL characters, which a model may generate: Postgres cannot hold them."""
    return {name: _stored(value) for name, value in values.items()}


def _stored(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
