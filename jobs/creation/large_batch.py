"""Batches of any size, made a chunk a transaction so that the worker can write meanwhile.

A batch is incomplete until its last chunk is written. No client is given a part of a batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from redis import Redis
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from jobs.creation.abandoned_batches import give_up
from jobs.creation.create import Created, queue_jobs
from jobs.creation.idempotency import find_repeated_batch
from jobs.errors import ConflictError
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from jobs.store.webhooks.webhook_table import Webhook

logger = logging.getLogger("captionq.creation")


def make_batch(
    batch: Batch, chunks: Iterable[Sequence[Job]], webhooks: Sequence[Webhook], *, store: Store, connection: Redis
) -> Created:
    """Queue the jobs, some hundreds a chunk, as the chunks come. An error on the way ends the batch: all jobs or none.

    To be called when `find_repeated_batch` has found none. Raises its errors, the errors of `chunks`, and ConflictError when the
    batch was given up meanwhile.
    """
    batch.created_at, batch.complete = time.time(), False
    try:
        store.add_batch(batch)
    except IntegrityError:
        # Of two requests with the same key at the same moment, one wins.
        if (earlier := find_repeated_batch(batch, store=store, connection=connection)) is None:
            raise
        return Created(earlier, repeated=True)
    try:
        _fill(batch, chunks, webhooks, store=store, connection=connection)
    except Exception:
        try:
            give_up(batch.id, store=store, connection=connection)
        except SQLAlchemyError as error:
            logger.warning("%s could not be ended (%s): `end_abandoned` will do it.", batch.id, error)
        raise
    batch.complete = True
    return Created(batch, repeated=False)


def _fill(
    batch: Batch, chunks: Iterable[Sequence[Job]], webhooks: Sequence[Webhook], *, store: Store, connection: Redis
) -> None:
    for number, jobs in enumerate(chunks):
        queue_jobs(jobs, store=store, connection=connection, more=number > 0)
    if not store.complete(batch.id, webhooks):
        raise ConflictError("Queueing took too long, and the batch was given up. Send the request again.")
