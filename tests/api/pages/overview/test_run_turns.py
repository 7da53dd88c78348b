"""The turns of waiting runs."""

from __future__ import annotations

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from api.pages.overview.run_turns import RunTurns
from jobs.queue import lanes
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.rows import add_batch


def test_a_run_comes_after_the_jobs_before_its_first(store: Store, connection: Redis) -> None:
    """The turn falls while jobs leave the lane, also when the run's own first job is gone."""
    first, first_jobs = add_batch(store, 3)
    second, second_jobs = add_batch(store, 2)
    ids = [job.id for job in (*first_jobs, *second_jobs)]
    turns = RunTurns(store)
    assert turns.before([first.id, second.id], connection) == {}
    lanes.push(connection, Lane.BULK, ids)
    assert turns.before([first.id, second.id], connection) == {first.id: 0, second.id: 3}
    lanes.withdraw(connection, [ids[0]])
    store.cancel([ids[0]])
    assert turns.before([first.id, second.id], connection) == {first.id: 0, second.id: 2}


def test_a_broker_that_is_away_leaves_out_the_turns(store: Store) -> None:
    """The page shows the runs without them."""

    class Away:
        def __getattr__(self, name: str) -> object:
            raise RedisConnectionError

    batch, _ = add_batch(store, 1)
    assert RunTurns(store).before([batch.id], Away()) == {}  # type: ignore[arg-type]
