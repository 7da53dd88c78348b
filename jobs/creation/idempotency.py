"""`Idempotency-Key`: a request that is repeated with its key finds the job or batch that was made before."""

from __future__ import annotations

import time

from redis import Redis
from sqlalchemy import select
from sqlmodel import SQLModel

from jobs.creation.abandoned_batches import ABANDONED_AFTER, give_up
from jobs.errors import ConflictError, IdempotencyError
from jobs.store.connection import reading
from jobs.store.queries.job_queries import as_job
from jobs.store.store import Store
from jobs.store.tables import Batch, Job

_TABLES = SQLModel.metadata.tables


def find_repeated(store: Store, keyed: Job | Batch) -> Job | Batch | None:
    """Find the job or batch that was made with the same key; None: there is no key, or the key is new.

    Raises IdempotencyError when the key was used for another request.
    """
    if keyed.idempotency_key is None:
        return None
    table = _TABLES[type(keyed).__tablename__]
    query = select(table).where(table.c.idempotency_key == keyed.idempotency_key)
    with reading(store.engine) as connection:
        if (row := connection.execute(query).mappings().first()) is None:
            return None
        earlier = Batch(**row) if isinstance(keyed, Batch) else as_job(row, connection)
    if earlier.digest != keyed.digest:
        raise IdempotencyError
    return earlier


def find_batch(store: Store, key: str) -> Batch | None:
    """Find the batch with this stored key, whatever it asks, and whether it is complete or not."""
    table = _TABLES["batch"]
    with reading(store.engine) as connection:
        row = connection.execute(select(table).where(table.c.idempotency_key == key)).mappings().first()
    return None if row is None else Batch(**row)


def find_repeated_batch(batch: Batch, *, store: Store, connection: Redis) -> Batch | None:
    """Find the complete batch that was made with the same key. An abandoned one is given up, and None is returned.

    Raises IdempotencyError when the key was used for another request; ConflictError while the batch is being made.
    """
    earlier = find_repeated(store, batch)
    assert earlier is None or isinstance(earlier, Batch)
    if earlier is None or earlier.complete:
        return earlier
    if earlier.id not in store.incomplete(time.time() - ABANDONED_AFTER):
        raise ConflictError("The first request with this Idempotency-Key is still being queued. Try again in a moment.")
    give_up(earlier.id, store=store, connection=connection)
    return None
