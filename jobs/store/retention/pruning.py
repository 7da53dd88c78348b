"""Pruning: the removal of old rows by `captionq prune` or by the setting `keep_days`, and of one batch by its client.

No other code deletes jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, Table, and_, delete, exists, func, select
from sqlmodel import SQLModel

from jobs.store.connection import bulk_pause, reading, writing
from jobs.store.file_tables import STORED_FILE
from jobs.store.rows.job_counts import batches_with
from jobs.store.rows.vocabularies import StoredVocabulary
from jobs.store.tables import ENDED, OPEN
from jobs.store.webhooks.webhook_table import WEBHOOK

#: Rows that are removed in one transaction: other writers wait for some tens of milliseconds.
ROWS_A_TRANSACTION = 1000

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_webhook: Table = WEBHOOK
_file: Table = STORED_FILE
_vocabulary: Table = SQLModel.metadata.tables[str(StoredVocabulary.__tablename__)]


@dataclass(frozen=True)
class Pruned:
    """Numbers of removed rows."""

    jobs: int
    batches: int
    #: Whether all old rows are removed. Not so when the removal was told to stop.
    finished: bool = True


def prune(
    engine: Engine,
    before: float,
    *,
    held: Callable[[], Collection[str]] = tuple,
    goes_on: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Remove batches whose jobs have all ended before a time (seconds since the epoch), and such jobs without a batch.

    A batch is removed as a whole. Rows with an undelivered webhook stay, and so do batches whose files of results have a later
    date of their own, vocabularies of jobs that stay, and uploads. Each transaction removes some hundreds of rows, so that a
    running worker waits only a moment.

    Args:
        held: returns the ids of the batches whose command lives and may queue more jobs: they stay (`RunLocks.held`).
        goes_on: asked between two transactions; if it returns False, the rest is left for another call.
    """
    jobs = _remove(engine, _job, _old_alone(before), goes_on)
    batches = 0
    for batch_id in _old_batches(engine, before, held) if goes_on() else ():
        jobs += _remove(engine, _job, _of_batch(batch_id), goes_on)
        batches += _remove(engine, _batch, _empty(batch_id), goes_on)
        if not goes_on():
            return Pruned(jobs, batches, finished=False)
    if jobs:
        _remove_vocabularies(engine)
    return Pruned(jobs, batches, finished=goes_on())


def delete_batch(engine: Engine, batch_id: str) -> None:
    """Remove a batch that has ended, with its jobs and lines. A removal that was interrupted can be repeated."""
    _remove(engine, _job, _job.c.batch_id == batch_id)
    _remove(engine, _batch, _batch.c.id == batch_id)


def _remove(engine: Engine, table: Table, old: ColumnElement[bool], goes_on: Callable[[], bool] = lambda: True) -> int:
    some = select(table.c.id).where(old).limit(ROWS_A_TRANSACTION)
    removed = 0
    while goes_on():
        with writing(engine) as connection:
            count = connection.execute(delete(table).where(table.c.id.in_(some))).rowcount
        removed += count
        if count < ROWS_A_TRANSACTION:
            break
        bulk_pause(engine)
    return removed


def _old_alone(before: float) -> ColumnElement[bool]:
    # A job is made before it ends, and the index has the time at which it was made.
    ended = and_(_job.c.status.in_(ENDED), _job.c.created_at < before, _job.c.finished_at < before)
    return and_(_job.c.batch_id.is_(None), ended, ~_undelivered(_webhook.c.job_id == _job.c.id))


def _old_batches(engine: Engine, before: float, held: Callable[[], Collection[str]]) -> list[str]:
    """Return the ids of batches that ended before a time and have nothing to report any more, also those without jobs."""
    last = select(_job.c.finished_at).where(_job.c.batch_id == _batch.c.id, _job.c.finished_order.is_not(None))
    last = last.order_by(_job.c.finished_order.desc()).limit(1)
    query = select(_batch.c.id).where(
        _batch.c.created_at < before,
        _batch.c.complete.is_(True),
        _batch.c.id.not_in(batches_with(OPEN)),
        func.coalesce(last.correlate(_batch).scalar_subquery(), 0.0) < before,
        ~_undelivered(_webhook.c.batch_id == _batch.c.id),
        ~exists(select(_file.c.id).where(_file.c.batch_id == _batch.c.id, _file.c.expires_at > time.time())),
    )
    with reading(engine) as connection:
        found = connection.execute(query).scalars().all()
    # Looked at afterwards: a command holds its batch before the row is there.
    live = held() if found else ()
    return [batch_id for batch_id in found if batch_id not in live]


def _of_batch(batch_id: str) -> ColumnElement[bool]:
    # None is queued again meanwhile: terminal states are final.
    return and_(_job.c.batch_id == batch_id, ~_undelivered(_webhook.c.job_id == _job.c.id))


def _empty(batch_id: str) -> ColumnElement[bool]:
    """A job with an undelivered webhook keeps its batch."""
    return and_(_batch.c.id == batch_id, ~exists(select(_job.c.id).where(_job.c.batch_id == batch_id)))


def _remove_vocabularies(engine: Engine) -> None:
    unused = ~exists(select(_job.c.id).where(_job.c.request.contains(_vocabulary.c.id)))
    with reading(engine) as connection:
        found = list(connection.execute(select(_vocabulary.c.id).where(unused)).scalars())
    # Looked at again by a writer, for a new job may have one of them by now.
    for name in found:
        _remove(engine, _vocabulary, and_(_vocabulary.c.id == name, unused))


def _undelivered(about: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(_webhook.c.id).where(about, _webhook.c.next_attempt_at.is_not(None)))
