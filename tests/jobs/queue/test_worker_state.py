"""The states that live workers publish."""

from __future__ import annotations

import pytest
from redis import Redis

from jobs.queue.worker_state import WorkerState, live_workers, publish_state, signs_of_life, withdraw_state


@pytest.fixture
def registered(fake_connection: Redis) -> list[str]:
    """Names of workers in rq's registry, which keeps killed workers too."""
    names = ["second", "first", "killed"]
    fake_connection.sadd("rq:workers", *(f"rq:worker:{name}" for name in names))
    return names


def test_live_workers_are_listed_by_name(fake_connection: Redis, registered: list[str]) -> None:
    """A registered worker without a published state has died."""
    states = [
        WorkerState(name, at=1.5, model="demo", batching="whole", rows=3, slots=8, rates={"bulk": 2.0})
        for name in registered[:2]
    ]
    for state in states:
        publish_state(fake_connection, state, 10)
    assert live_workers(fake_connection) == [states[1], states[0]]


def test_a_state_vanishes_by_itself_or_with_its_worker(fake_connection: Redis, registered: list[str]) -> None:
    """Redis forgets the state after the given seconds; a worker that ends removes it at once."""
    publish_state(fake_connection, WorkerState(registered[0], at=0.0), 10)
    assert 0 < fake_connection.ttl(f"captionq:worker:{registered[0]}") <= 10
    withdraw_state(fake_connection, registered[0])
    assert live_workers(fake_connection) == []


def test_a_silent_worker_is_missing_and_keeps_its_jobs_for_its_lease(
    fake_connection: Redis, registered: list[str]
) -> None:
    """A worker in a long step that is stopped for a moment comes back to its jobs. One of an older version has a state only."""
    silent, older, _ = registered
    for name in (silent, older):
        publish_state(fake_connection, WorkerState(name, at=0.0), 10, lease=60)
    assert 10 < fake_connection.ttl(f"captionq:alive:{silent}") <= 60
    fake_connection.delete(f"captionq:worker:{silent}", f"captionq:alive:{older}")
    assert [state.name for state in live_workers(fake_connection)] == [older]
    alive = signs_of_life(fake_connection, registered)
    assert set(alive) == {silent, older}
    assert alive[silent] > 50 > 10 >= alive[older] > 0
    withdraw_state(fake_connection, silent)
    assert set(signs_of_life(fake_connection, registered)) == {older}


def test_without_workers_there_are_no_states(fake_connection: Redis) -> None:
    """An empty registry is not asked for states."""
    assert live_workers(fake_connection) == []
