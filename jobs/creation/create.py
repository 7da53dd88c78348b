"""From requests to queued jobs, once: rows first and in one transaction, then their entries.

A creation that carries a key is repeated without harm: the second one finds what the first one made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from jobs.errors import IdempotencyError, InvalidRequestError, LaneFullError
from jobs.queue import lanes
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.settings import Settings
from jobs.store.connection import reading, writing
from jobs.store.output_writers import insert_jobs
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane, Webhook
from jobs.store.webhook_rows import add_webhooks

logger = logging.getLogger("captionq.creation")

_TABLES = SQLModel.metadata.tables
#: Seconds that a client is told to wait when nothing is known of the worker's speed, and at most.
UNKNOWN_WAIT = 10.0
LONGEST_WAIT = 600.0
#: A full lane is worth trying again when so much of it is free.
WORTHWHILE = 0.02


@dataclass(frozen=True)
class Creation:
    """What is to be queued together. Keys lie on the batch where there is one, else on the one job."""

    jobs: Sequence[Job]
    batch: Batch | None = None
    webhooks: Sequence[Webhook] = ()

    @property
    def keyed(self) -> Job | Batch:
        return self.jobs[0] if self.batch is None else self.batch


@dataclass(frozen=True)
class Created:
    """What is in the store now; `repeated`: an earlier creation with the same key made it."""

    #: The one job, or the batch.
    made: Job | Batch
    repeated: bool


def create(creation: Creation, *, store: Store, connection: Redis, settings: Settings) -> Created:
    """Queue it. Raises IdempotencyError, LaneFullError, RedisError."""
    keyed = creation.keyed
    if (earlier := find_repeated(store, keyed)) is not None:
        return Created(earlier, repeated=True)
    lane = Lane(creation.jobs[0].lane)
    check_room(connection, lane, len(creation.jobs), settings)
    try:
        _add(store, creation)
    except IntegrityError:
        # Two at once with one key: of them one wins.
        if (earlier := find_repeated(store, keyed)) is None:
            raise
        return Created(earlier, repeated=True)
    push_late(connection, lane, [job.id for job in creation.jobs])
    return Created(keyed, repeated=False)


def queue_jobs(jobs: Sequence[Job], *, store: Store, connection: Redis) -> None:
    """Write some hundreds of jobs of one lane, then push those that have not failed already."""
    store.add(jobs)
    push_late(connection, Lane(jobs[0].lane), [job.id for job in jobs if job.error_code is None])


def push_late(connection: Redis, lane: Lane, ids: Sequence[str]) -> None:
    """Give rows their entries, at once or, when the broker is away, as soon as `reconcile` does: they are safe already."""
    try:
        lanes.push(connection, lane, ids)
    except RedisError as error:
        logger.warning("The broker is away (%s): %d jobs wait for it.", error, len(ids))


def find_repeated(store: Store, keyed: Job | Batch) -> Job | Batch | None:
    """What was made with the same key before. Raises IdempotencyError when something else was asked with it."""
    if keyed.idempotency_key is None:
        return None
    kind = type(keyed)
    table = _TABLES[kind.__tablename__]
    with reading(store.engine) as connection:
        row = (
            connection.execute(select(table).where(table.c.idempotency_key == keyed.idempotency_key)).mappings().first()
        )
    if row is None:
        return None
    earlier = kind(**row)
    if earlier.digest != keyed.digest:
        raise IdempotencyError("This Idempotency-Key was used for another request. Take a new one for each.")
    return earlier


def check_room(connection: Redis, lane: Lane, count: int, settings: Settings) -> None:
    """Raises LaneFullError when `count` more jobs do not fit, with the seconds until it is worth trying again.

    Raises InvalidRequestError when they never will.
    """
    limit = settings.max_waiting_interactive if lane is Lane.INTERACTIVE else settings.max_waiting_bulk
    if count > limit:
        raise InvalidRequestError(
            f"{count} jobs are more than the {lane} lane ever holds, {limit} (CAPTIONQ_MAX_WAITING_{lane.upper()}). "
            "Send fewer at a time."
        )
    waiting = lanes.waiting(connection, lane)
    if waiting + count <= limit:
        return
    rate = rate_of(live_workers(connection), lane)
    places = max(waiting + count - limit, limit * WORTHWHILE)
    wait = UNKNOWN_WAIT if rate is None else min(LONGEST_WAIT, max(1.0, places / rate))
    raise LaneFullError(
        f"{waiting} jobs wait in the {lane} lane, and it holds {limit}. Try again in {wait:.0f} s.", retry_after=wait
    )


def rate_of(workers: Sequence[WorkerState], lane: Lane) -> float | None:
    """Jobs of a lane that end a second, on all workers together; None: nobody has measured it."""
    rates = [state.rates[lane] for state in workers if lane in state.rates]
    return sum(rates) or None


def _add(store: Store, creation: Creation) -> None:
    with writing(store.engine) as connection:
        if creation.batch is not None:
            connection.execute(insert(_TABLES["batch"]).values(creation.batch.model_dump()))
        insert_jobs(connection, creation.jobs)
        add_webhooks(connection, creation.webhooks)
