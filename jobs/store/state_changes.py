"""Guarded UPDATEs, within a write transaction, that every change of a job's state consists of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    exists,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.store.claims import Claim, fence, job_id_of
from jobs.store.connection import bulk_pause, writing
from jobs.store.pictures.search_words import index_words
from jobs.store.queries.waiting_rows import first_rows
from jobs.store.statements import ROWS_A_STATEMENT, SEARCHED, ending
from jobs.store.tables import OPEN, JobStatus, Lane

#: Jobs of a run that are cancelled in one transaction: other writers wait for some tens of milliseconds, and get their turn
#: between two.
CANCELLED_A_TRANSACTION = 4000

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]

# The rows come in their order with their numbers: a window function takes as long for them as their change. On SQLite they are
# named by their places in the table: finding each by its id takes a tenth of the time of its change.
_CANCEL = (
    "UPDATE job SET status = 'cancelled', finished_at = :finished_at, finished_order = :last + each.{number} FROM {rows}"
    " WHERE job.{name} = each.{value} AND job.status IN ('queued', 'running')"
)
_CANCEL_SQLITE = text(_CANCEL.format(number="key + 1", rows="json_each(:rows) AS each", name="rowid", value="value"))
_CANCEL_POSTGRES = text(
    _CANCEL.format(
        number="number",
        rows="unnest(CAST(:rows AS text[])) WITH ORDINALITY AS each(id, number)",
        name="id",
        value="id",
    )
)


def end_jobs(
    connection: Connection,
    ids: Sequence[Claim | str],
    leaving: tuple[JobStatus, ...],
    status: JobStatus,
    **values: object,
) -> int:
    """Bring the jobs whose status is one of `leaving` to a terminal status. Returns how many ended.

    Each job is numbered within its batch in the order of the ends (`finished_order`). A job that is given by its claim ends
    only if the row is still in it.
    """
    changed = 0
    for claim in ids:
        end = {"job_id": job_id_of(claim), "status": status, "finished_at": time.time(), **_storable(values)}
        if is_fenced := isinstance(claim, Claim):
            end |= {"claimed_attempt": claim.attempt, "claimed_by": claim.worker}
        if (row := connection.execute(ending(leaving, fenced=is_fenced), end).one_or_none()) is not None:
            index_words(connection, row)
            changed += 1
    return changed


def cancel_jobs(engine: Engine, ids: Sequence[str]) -> list[str]:
    """Cancel jobs: queued or running → cancelled. Returns the ids that this call cancelled; the others had ended."""
    cancelled: list[str] = []
    for chunk in chunked(ids, ROWS_A_STATEMENT):
        with writing(engine) as connection:
            query = select(_job.c.id).where(_job.c.id.in_(chunk), _job.c.status.in_(OPEN))
            open_ids = list(connection.execute(query).scalars())
            end_jobs(connection, open_ids, OPEN, JobStatus.CANCELLED)
            cancelled.extend(open_ids)
    return cancelled


def cancel_all(engine: Engine, batch_id: str, on_progress: Callable[[int], None] | None = None) -> int:
    """Cancel the open jobs of a batch, also those that are queued again meanwhile. Returns how many it cancelled.

    A batch of several transactions is paused from the first to the last, so that no job of it begins meanwhile. If the process
    dies in between, the rest waits for another cancel or for `captionq resume`.
    """
    cancelled, is_paused_here = 0, False
    while True:
        with writing(engine) as connection:
            count = cancel_some(connection, batch_id, CANCELLED_A_TRANSACTION)
            is_last = count < CANCELLED_A_TRANSACTION
            if not is_last and not cancelled:
                is_paused_here = pause_batch(connection, batch_id, time.time())
            elif is_last and is_paused_here:
                resume_batch(connection, batch_id)
        cancelled += count
        if on_progress is not None:
            on_progress(cancelled)
        if is_last:
            return cancelled
        bulk_pause(engine)


def cancel_some(connection: Connection, batch_id: str, most: int) -> int:
    """Cancel up to `most` open jobs of a batch by one statement, numbered as by `end_jobs`. Returns how many it cancelled."""
    is_sqlite = connection.dialect.name == "sqlite"
    rows = _some_open(connection, batch_id, most, "rowid" if is_sqlite else "id")
    if not rows:
        return 0
    has_ended = (_job.c.batch_id == batch_id, _job.c.finished_order.is_not(None))
    last = select(func.coalesce(func.max(_job.c.finished_order), 0)).where(*has_ended)
    values = {"rows": json.dumps(rows) if is_sqlite else rows, "last": int(connection.execute(last).scalar_one())}
    change = _CANCEL_SQLITE if is_sqlite else _CANCEL_POSTGRES
    return connection.execute(change, values | {"finished_at": time.time()}).rowcount


def _some_open(connection: Connection, batch_id: str, most: int, name: str) -> list[object]:
    """Return a column of up to `most` open jobs of a batch: those that run, and then those that wait, in their order."""
    column: ColumnElement[object] = literal_column(f"job.{name}")
    runs = select(column).where(_job.c.batch_id == batch_id, _job.c.status == JobStatus.RUNNING).limit(most)
    rows = list(connection.execute(runs).scalars())
    for lane in Lane:
        if len(rows) < most:
            rows += first_rows(connection, column, lane, batch_id, most - len(rows))
    return rows


def pause_batch(connection: Connection, batch_id: str, now: float) -> bool:
    """Pause a batch that has not ended. Returns False if it has, or is paused already."""
    open_job = select(_job.c.id).where(_job.c.batch_id == batch_id, _job.c.status.in_(OPEN))
    goes_on = (_batch.c.id == batch_id) & (_batch.c.complete.is_(False) | exists(open_job))
    change = update(_batch).where(goes_on, _batch.c.paused_at.is_(None)).values(paused_at=now)
    return connection.execute(change).rowcount == 1


def resume_batch(connection: Connection, batch_id: str) -> None:
    """End the pause of a batch."""
    connection.execute(update(_batch).where(_batch.c.id == batch_id).values(paused_at=None))


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


def update_running(connection: Connection, claim: Claim | str, **values: object) -> bool:
    """Set columns of a running job, if its row is still in this claim. Returns whether the job changed."""
    return update_jobs(connection, [job_id_of(claim)], (JobStatus.RUNNING,), *fence(claim), **values) == 1


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
