"""Making jobs once: keys, and the limits of lanes."""

from __future__ import annotations

import time

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.configuration.settings import Settings
from jobs.creation.backpressure import check_room
from jobs.creation.create import Created, Creation, create, queue_jobs
from jobs.errors import IdempotencyError, InvalidRequestError, LaneFullError
from jobs.queue import lanes
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from jobs.store.webhooks.webhook_table import Webhook


def job(key: str | None = None, digest: str = "x") -> Job:
    """Make a row."""
    return Job(model="demo", request="{}", digest=digest, idempotency_key=key, lane=Lane.BULK)


def test_the_second_creation_with_a_key_finds_the_first(store: Store, connection: Redis, settings: Settings) -> None:
    """The same key with another question is refused, and nothing more is queued."""
    first = create(Creation([job(key="k")]), store=store, connection=connection, settings=settings)
    second = create(Creation([job(key="k")]), store=store, connection=connection, settings=settings)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.made.id == second.made.id
    with pytest.raises(IdempotencyError):
        create(Creation([job(key="k", digest="y")]), store=store, connection=connection, settings=settings)
    assert lanes.waiting(connection, Lane.BULK) == 1


def test_a_key_with_another_webhook_is_refused(store: Store, connection: Redis, settings: Settings) -> None:
    """The job has the webhook of the first request: the other address would never hear of it."""

    def made(*addresses: str) -> Created:
        one = job(key="k")
        hooks = [Webhook(url=address, job_id=one.id) for address in addresses]
        return create(Creation([one], webhooks=hooks), store=store, connection=connection, settings=settings)

    first = made("https://example.org/a")
    assert made("https://example.org/a").made.id == first.made.id
    for other in (("https://example.org/b",), ()):
        with pytest.raises(IdempotencyError):
            made(*other)


def test_a_full_lane_tells_by_the_workers_speed_when_to_come_back(
    store: Store, connection: Redis, settings: Settings
) -> None:
    """The wait is the time for two percent of the lane's places at two jobs a second."""
    small = settings.model_copy(update={"max_waiting_bulk": 200})
    queue_jobs([job() for _ in range(200)], store=store, connection=connection)
    with pytest.raises(LaneFullError) as unknown:
        create(Creation([job()]), store=store, connection=connection, settings=small)
    assert unknown.value.retry_after == 10.0
    connection.sadd("rq:workers", "rq:worker:one")
    publish_state(connection, WorkerState(name="one", at=time.time(), rates={"bulk": 2.0}), 60)
    with pytest.raises(LaneFullError) as known:
        create(Creation([job()]), store=store, connection=connection, settings=small)
    assert known.value.retry_after == 2.0


def test_only_room_that_was_found_for_the_same_jobs_spares_the_look_at_the_lane(
    store: Store, connection: Redis, settings: Settings
) -> None:
    """Room for fewer jobs, or in another lane, does not let jobs into a full lane."""
    small = settings.model_copy(update={"max_waiting_bulk": 2})
    room = check_room(store, connection, Lane.BULK, 1, small)
    elsewhere = check_room(store, connection, Lane.INTERACTIVE, 2, small)
    queue_jobs([job()], store=store, connection=connection)
    for wrong in (None, room, elsewhere):
        with pytest.raises(LaneFullError):
            create(Creation([job(), job()], room=wrong), store=store, connection=connection, settings=small)
    queue_jobs([job()], store=store, connection=connection)
    create(Creation([job()], room=room), store=store, connection=connection, settings=small)
    assert lanes.waiting(connection, Lane.BULK) == 3


def test_what_never_fits_is_not_told_to_come_back(store: Store, connection: Redis, settings: Settings) -> None:
    """The jobs do not even fit into an empty lane."""
    small = settings.model_copy(update={"max_waiting_bulk": 2})
    check_room(store, connection, Lane.BULK, 2, small)
    with pytest.raises(InvalidRequestError, match="CAPTIONQ_MAX_WAITING_BULK"):
        check_room(store, connection, Lane.BULK, 3, small)


def test_rows_whose_broker_is_away_are_queued_all_the_same(store: Store, settings: Settings) -> None:
    """`reconcile` gives the rows their entries later."""
    nowhere = Redis(port=1, retry=Retry(NoBackoff(), 0))
    row = job()
    queue_jobs([row], store=store, connection=nowhere)
    assert store.job(row.id).status == JobStatus.QUEUED
