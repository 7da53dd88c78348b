"""Finding a worker by its name, and asking it to drain."""

from __future__ import annotations

import pytest
from redis import Redis

from jobs.errors import InvalidRequestError, NotFoundError
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.queue.workers.draining import drain, find_worker, is_draining, undo_drain


@pytest.fixture
def registered(fake_connection: Redis) -> Redis:
    """A broker with three live workers and a dead one."""
    for name in ("captionq-studio-1a", "captionq-studio-2b", "mini", "captionq-gone-3c"):
        fake_connection.sadd("rq:workers", f"rq:worker:{name}")
        if "gone" not in name:
            publish_state(fake_connection, WorkerState(name, at=1.0), 60)
    return fake_connection


@pytest.mark.parametrize(
    ("words", "name"),
    [("captionq-studio-1a", "captionq-studio-1a"), ("studio-2b", "captionq-studio-2b"), ("min", "mini")],
)
def test_a_worker_is_found_by_its_name_or_the_beginning_of_it(registered: Redis, words: str, name: str) -> None:
    """With the prefix that all names have, or without."""
    assert find_worker(registered, words).name == name


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [("gone", NotFoundError, "captionq workers"), ("studio", InvalidRequestError, "studio-1a, studio-2b")],
)
def test_a_worker_that_is_dead_or_not_the_only_one_is_not_found(
    registered: Redis, words: str, error: type[Exception], told: str
) -> None:
    """The message tells how to find the name."""
    with pytest.raises(error, match=told):
        find_worker(registered, words)


def test_a_drain_is_of_one_worker_and_can_be_undone(registered: Redis) -> None:
    """Others go on."""
    drain(registered, "mini")
    assert (is_draining(registered, "mini"), is_draining(registered, "captionq-studio-1a")) == (True, False)
    undo_drain(registered, "mini")
    assert not is_draining(registered, "mini")
