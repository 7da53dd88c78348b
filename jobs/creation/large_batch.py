"""Batches of any size: made a chunk a transaction, so that the worker can write meanwhile, and ended when their maker dies.

A batch that is not complete is being made, or its maker has died. Nobody is given a part of one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from jobs.creation import cancel
from jobs.creation.create import Created, find_repeated, queue_jobs
from jobs.errors import ConflictError
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Webhook

logger = logging.getLogger("captionq.creation")

#: Seconds without a new job after which a batch that is not complete has no maker any more. A chunk is written within the
#: moment; what can hold one up is another writer, for `database.BUSY_TIMEOUT` (30 s) at most. Told by the rows alone, for the
#: maker may be a process of another machine. One that was stopped for longer learns at its end that it was given up.
DIED_AFTER = 120.0


def find_made(batch: Batch, *, store: Store, connection: Redis) -> Batch | None:
    """The batch that was made with the same key before, if there is one, and with all of its jobs.

    Raises IdempotencyError; ConflictError while it is being made.
    """
    earlier = find_repeated(store, batch)
    assert earlier is None or isinstance(earlier, Batch)
    if earlier is None or earlier.complete:
        return earlier
    if earlier.id not in store.incomplete(time.time() - DIED_AFTER):
        raise ConflictError("What was asked with this Idempotency-Key is still being queued. Ask again in a moment.")
    give_up(earlier.id, store=store, connection=connection)
    return None


def make_batch(
    batch: Batch, chunks: Iterable[Sequence[Job]], webhooks: Sequence[Webhook], *, store: Store, connection: Redis
) -> Created:
    """Queue the jobs, some hundreds a chunk, as the chunks come. What breaks on the way ends the batch: all jobs or none.

    To be called when `find_made` has found none. Raises what `find_made` raises, and whatever the chunks raise.
    """
    batch.created_at, batch.complete = time.time(), False
    try:
        store.add_batch(batch)
    except IntegrityError:
        # Two at once with one key: of them one wins.
        if (earlier := find_made(batch, store=store, connection=connection)) is None:
            raise
        return Created(earlier, repeated=True)
    try:
        _fill(batch, chunks, webhooks, store=store, connection=connection)
    except Exception:
        try:
            give_up(batch.id, store=store, connection=connection)
        except SQLAlchemyError as error:
            logger.warning("%s could not be ended (%s): `end_dead` will do it.", batch.id, error)
        raise
    batch.complete = True
    return Created(batch, repeated=False)


def _fill(
    batch: Batch, chunks: Iterable[Sequence[Job]], webhooks: Sequence[Webhook], *, store: Store, connection: Redis
) -> None:
    for jobs in chunks:
        queue_jobs(jobs, store=store, connection=connection)
    if not store.complete(batch.id, webhooks):
        raise ConflictError("It took too long to queue all of it, and it was given up.")


def end_dead(*, store: Store, connection: Redis, now: float) -> int:
    """End the batches whose makers have died by `now`, in seconds since the epoch: nobody else would. Returns how many."""
    dead = store.incomplete(now - DIED_AFTER)
    for batch_id in dead:
        logger.warning("%s was never made to its end: it is given up.", batch_id)
        give_up(batch_id, store=store, connection=connection)
    return len(dead)


def give_up(batch_id: str, *, store: Store, connection: Redis) -> None:
    """Cancel what there is of a batch that is not complete, end it, and free its key."""
    try:
        cancel.cancel(store.open_ids(batch_id), store=store, connection=connection)
    except RedisError as error:
        # The rows come first, and an entry whose row has ended does nothing.
        logger.warning("The broker is away (%s): the entries of %s stay.", error, batch_id)
    store.give_up(batch_id)
