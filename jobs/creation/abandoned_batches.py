"""Abandoned batches: incomplete, and the process that made them has died. Their jobs are cancelled and their keys freed."""

from __future__ import annotations

import logging

from redis import Redis
from redis.exceptions import RedisError

from jobs.creation import cancel
from jobs.store.store import Store

logger = logging.getLogger("captionq.creation")

#: Seconds without a new job after which an incomplete batch counts as abandoned. A chunk is written within a moment; only
#: another writer can hold a chunk up, for at most `sqlite.BUSY_TIMEOUT` (30 s). Decided by the rows only, for the maker may be
#: a process of another machine. A maker that was stopped for longer learns at its end that its batch was given up.
ABANDONED_AFTER = 120.0


def end_abandoned(*, store: Store, connection: Redis, now: float) -> int:
    """Give up the batches that are abandoned at `now`, in seconds since the epoch. Returns how many."""
    dead = store.incomplete(now - ABANDONED_AFTER)
    for batch_id in dead:
        logger.warning("%s was never completed: it is given up.", batch_id)
        give_up(batch_id, store=store, connection=connection)
    return len(dead)


def give_up(batch_id: str, *, store: Store, connection: Redis) -> None:
    """Cancel the jobs of an incomplete batch, end the batch, and free its key."""
    cancel_dead_run(batch_id, store=store, connection=connection)
    store.give_up(batch_id)


def cancel_dead_run(batch_id: str, *, store: Store, connection: Redis) -> None:
    """Cancel the jobs of a batch whose maker has died, also while the broker is away."""
    try:
        cancel.cancel_run(batch_id, store=store, connection=connection)
    except RedisError as error:
        # The rows come first, and an entry whose row has ended does nothing.
        logger.warning("The broker is away (%s): the entries of %s stay.", error, batch_id)
