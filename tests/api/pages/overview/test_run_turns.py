"""The turns of waiting runs."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from api.pages.overview import run_turns
from api.pages.overview.run_turns import turns_of
from jobs.queue import pausing
from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.rows import add_batch, make_job


def test_a_run_comes_after_those_that_go_ahead(store: Store, connection: Redis) -> None:
    """Equals take turns, so each is next; a run of a higher priority goes first, and a paused one has no turn."""
    first, _ = add_batch(store, 3)
    second, jobs = add_batch(store, 2)
    urgent = Batch(description="urgent", model="demo", priority=1)
    store.add_batch(urgent)
    store.add([make_job(f"urgent {number}", urgent) for number in range(4)])
    runs = [first.id, second.id, urgent.id]
    assert turns_of(runs, store=store, connection=connection) == {first.id: 4, second.id: 4, urgent.id: 0}
    pausing.pause(urgent.id, store=store, connection=connection)
    assert turns_of(runs, store=store, connection=connection) == {first.id: 0, second.id: 0}
    store.cancel([job.id for job in jobs])
    assert turns_of(runs, store=store, connection=connection) == {first.id: 0}


def test_a_broker_that_is_away_leaves_out_the_turns(
    store: Store, fake_connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page shows the runs without them."""
    batch, _ = add_batch(store, 1)

    def away(*arguments: object) -> int:
        raise RedisConnectionError

    monkeypatch.setattr(run_turns, "ahead_of", away)
    assert turns_of([batch.id], store=store, connection=fake_connection) == {}
