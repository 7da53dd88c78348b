"""Pruning: the removal of old rows by `captionq jobs prune`, and of one batch by its client.

Nothing is removed by itself, and no other code deletes jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, delete, exists, or_, select
from sqlmodel import SQLModel

from jobs.store.connection import bulk_pause, writing
from jobs.store.rows.vocabularies import StoredVocabulary
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import OPEN
from jobs.store.webhooks.webhook_table import WEBHOOK

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_webhook: Table = WEBHOOK
_vocabulary: Table = SQLModel.metadata.tables[str(StoredVocabulary.__tablename__)]


@dataclass(frozen=True)
class Pruned:
    """Numbers of removed rows."""

    jobs: int
    batches: int


def prune(engine: Engine, before: float) -> Pruned:
    """Remove batches whose jobs have all ended before a time (seconds since the epoch), and such jobs without a batch.

    A batch stays whole, rows with an undelivered webhook stay, and so do the vocabularies of jobs that stay. Each transaction
    removes some hundreds of rows, so that a running worker waits only a moment.
    """
    jobs = _remove(engine, _job, _old_jobs(before))
    if jobs:
        _remove(engine, _vocabulary, ~exists(select(_job.c.id).where(_job.c.request.contains(_vocabulary.c.id))))
    return Pruned(jobs, batches=_remove(engine, _batch, _old_batches(before)))


def delete_batch(engine: Engine, batch_id: str) -> None:
    """Remove a batch that has ended, with its jobs and lines. A removal that was interrupted can be repeated."""
    _remove(engine, _job, _job.c.batch_id == batch_id)
    _remove(engine, _batch, _batch.c.id == batch_id)


def _remove(engine: Engine, table: Table, old: ColumnElement[bool]) -> int:
    removed = 0
    while True:
        with writing(engine) as connection:
            ids = _some_ids(connection, table, old)
            connection.execute(delete(table).where(table.c.id.in_(ids)))
        removed += len(ids)
        if len(ids) < ROWS_A_STATEMENT:
            return removed
        bulk_pause(engine)


def _some_ids(connection: Connection, table: Table, old: ColumnElement[bool]) -> list[str]:
    return list(connection.execute(select(table.c.id).where(old).limit(ROWS_A_STATEMENT)).scalars())


def _old_jobs(before: float) -> ColumnElement[bool]:
    sibling = _job.alias()
    recent = or_(sibling.c.status.in_(OPEN), sibling.c.finished_at >= before)
    batch_goes_on = exists(select(sibling.c.id).where(sibling.c.batch_id == _job.c.batch_id, recent))
    batch_is_new = exists(select(_batch.c.id).where(_batch.c.id == _job.c.batch_id, _batch.c.complete.is_(False)))
    batch_reports = _undelivered(_webhook.c.batch_id == _job.c.batch_id)
    ended = and_(_job.c.status.not_in(OPEN), _job.c.finished_at < before)
    return and_(ended, ~batch_goes_on, ~batch_is_new, ~batch_reports, ~_undelivered(_webhook.c.job_id == _job.c.id))


def _old_batches(before: float) -> ColumnElement[bool]:
    """Batches without jobs. A job with an undelivered webhook keeps its batch."""
    has_jobs = exists(select(_job.c.id).where(_job.c.batch_id == _batch.c.id))
    old = and_(_batch.c.created_at < before, _batch.c.complete.is_(True))
    return and_(old, ~has_jobs, ~_undelivered(_webhook.c.batch_id == _batch.c.id))


def _undelivered(about: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(_webhook.c.id).where(about, _webhook.c.next_attempt_at.is_not(None)))
