"""From requests to queued jobs, once: rows first and in one transaction, then their entries.

A creation that carries a key is repeated without harm: the second call finds the jobs of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.creation.backpressure import Room, check_room
from jobs.creation.idempotency import find_repeated
from jobs.errors import IdempotencyError
from jobs.queue.feeding import enqueue
from jobs.store.connection import writing
from jobs.store.response_rows import StoredResponse, add_responses
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane
from jobs.store.webhooks.webhook_rows import WebhookStore, add_webhooks
from jobs.store.webhooks.webhook_table import Webhook
from jobs.store.written.output_writers import insert_jobs

#: Jobs that are written in one transaction: the worker gets its turn between two.
JOBS_A_TRANSACTION = 1000

_TABLES = SQLModel.metadata.tables


@dataclass(frozen=True)
class Creation:
    """Jobs of one lane that are to be queued together."""

    jobs: Sequence[Job]
    batch: Batch | None = None
    webhooks: Sequence[Webhook] = ()
    responses: Sequence[StoredResponse] = ()
    #: The room that was found for these jobs before their images were stored; None: `create` looks for it.
    room: Room | None = None

    @property
    def keyed(self) -> Job | Batch:
        """The row that carries the `Idempotency-Key`: the batch or, without a batch, the only job."""
        return self.jobs[0] if self.batch is None else self.batch


@dataclass(frozen=True)
class Created:
    """The only job or the batch that is in the store now."""

    made: Job | Batch
    #: Whether an earlier creation with the same key made it.
    repeated: bool


def create(creation: Creation, *, store: Store, connection: Redis, settings: Settings) -> Created:
    """Queue the jobs of a creation, unless its key was used before. Raises IdempotencyError, LaneFullError, RedisError."""
    if (earlier := _earlier(store, creation)) is not None:
        return Created(earlier, repeated=True)
    lane = Lane(creation.jobs[0].lane)
    if creation.room != Room(lane, len(creation.jobs)):
        check_room(store, connection, lane, len(creation.jobs), settings)
    try:
        _add(store, creation)
    except IntegrityError:
        # Of two requests with the same key at the same moment, one wins.
        if (earlier := _earlier(store, creation)) is None:
            raise
        return Created(earlier, repeated=True)
    enqueue(store, connection, lane, [job.id for job in creation.jobs])
    return Created(creation.keyed, repeated=False)


def queue_jobs(jobs: Sequence[Job], *, store: Store, connection: Redis, more: bool = False) -> None:
    """Write some hundreds of jobs of one lane, then bring those on their way that have not failed already.

    `more`: jobs of the same batch were queued just before.
    """
    store.add(jobs)
    waiting = [job.id for job in jobs if job.error_code is None]
    enqueue(store, connection, Lane(jobs[0].lane), waiting, more=more)


def _earlier(store: Store, creation: Creation) -> Job | Batch | None:
    """Find the job or batch of an earlier creation with the same key. Raises IdempotencyError if that asked something else."""
    earlier = find_repeated(store, creation.keyed)
    # The digest of a list covers its webhooks, that of a job is of its question only.
    if isinstance(earlier, Job):
        known = WebhookStore(store.engine).addresses(earlier.id)
        if known != sorted(hook.url for hook in creation.webhooks):
            raise IdempotencyError
    return earlier


def _add(store: Store, creation: Creation) -> None:
    with writing(store.engine) as connection:
        if creation.batch is not None:
            connection.execute(insert(_TABLES["batch"]).values(creation.batch.model_dump()))
        insert_jobs(connection, creation.jobs)
        add_webhooks(connection, creation.webhooks)
        add_responses(connection, creation.responses)
