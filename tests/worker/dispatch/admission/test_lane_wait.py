"""Waiting for entries: whoever pushes one ends the wait, nothing is taken by it, and the server is not asked meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from jobs.queue.lanes import LaneQueue, lanes, push
from jobs.store.tables import Lane
from tests.support.processes import until
from worker.dispatch.admission.lane_wait import LaneWait

#: Seconds of a wait that has to be ended by something else.
LONG = 100.0


@pytest.fixture
def wait(connection: Redis) -> Iterator[LaneWait]:
    with LaneWait(connection) as wait:
        yield wait


def waiting(wait: LaneWait, queues: list[LaneQueue], seconds: float = LONG) -> threading.Thread:
    """Begin a wait in a thread."""
    thread = threading.Thread(target=wait.wait, args=(queues, seconds), daemon=True)
    thread.start()
    return thread


def blocked(connection: Redis, number: int) -> None:
    """Wait until so many clients wait at the server."""
    until(lambda: connection.info("clients")["blocked_clients"] == number, "the clients")


@pytest.mark.parametrize("lane", list(Lane))
def test_an_entry_ends_the_waits_of_all_workers_and_stays(connection: Redis, lane: Lane) -> None:
    """A worker that is killed in its wait takes no entry with it."""
    with LaneWait(connection) as one, LaneWait(connection) as other:
        threads = [waiting(each, lanes(connection, name)) for each, name in ((one, "one"), (other, "other"))]
        blocked(connection, 4)
        push(connection, lane, ["job_1", "job_2", "job_3"])
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()
    found = {queue.name: queue.get_job_ids() for queue in lanes(connection)}
    assert found == {**{str(each): [] for each in Lane}, lane: ["job_1", "job_2", "job_3"]}
    assert connection.keys("*intermediate*") == []


def test_the_server_is_asked_once_for_many_waits(connection: Redis, wait: LaneWait) -> None:
    """A wait whose seconds are over leaves its question with the server, and the next wait takes it up."""
    for _ in range(20):
        wait.wait(lanes(connection), 0.001)
    # A command is counted when it is answered.
    assert "cmdstat_blmove" not in connection.info("commandstats")
    blocked(connection, 2)
    thread = waiting(wait, lanes(connection))
    push(connection, Lane.BULK, ["job_1"])
    thread.join(LONG)
    assert not thread.is_alive()
    assert connection.info("commandstats")["cmdstat_blmove"]["calls"] == 1


def test_a_thread_can_end_the_wait(connection: Redis, wait: LaneWait) -> None:
    """Also the next wait, and a call after the end is no error."""
    thread = waiting(wait, lanes(connection))
    blocked(connection, 2)
    wait.wake()
    thread.join(LONG)
    assert not thread.is_alive()
    wait.wake()
    wait.wait(lanes(connection), LONG)
    wait.close()
    wait.wake()


def test_a_lane_with_ids_for_other_workers_is_looked_at_again(connection: Redis, wait: LaneWait) -> None:
    """The wait at such a lane would end at once, for ever."""
    interactive, bulk = lanes(connection)
    push(connection, Lane.BULK, ["job_1"])
    bulk.skipped = {"job_1"}
    wait.wait([interactive, bulk], LONG)
    blocked(connection, 1)


def test_a_closed_lane_is_not_waited_for(connection: Redis, wait: LaneWait) -> None:
    """Its entries end no wait."""
    interactive, _ = lanes(connection)
    push(connection, Lane.BULK, ["job_1"])
    thread = waiting(wait, [interactive])
    blocked(connection, 1)
    assert thread.is_alive()
    push(connection, Lane.INTERACTIVE, ["job_2"])
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "break_off",
    [
        lambda server: server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        lambda server: server.execute_command("REPLICAOF", "127.0.0.1", "1"),
    ],
    ids=["a lost connection", "a server that changes its role"],
)
def test_a_wait_that_breaks_off_is_begun_again(
    connection: Redis, wait: LaneWait, break_off: Callable[[Redis], object]
) -> None:
    """The commands after it tell what is wrong, if it lasts."""
    thread = waiting(wait, lanes(connection))
    blocked(connection, 2)
    break_off(connection)
    thread.join(LONG)
    assert not thread.is_alive()
    connection.execute_command("REPLICAOF", "NO", "ONE")

    def wait_for_entry() -> None:
        while not lanes(connection)[0].count:
            wait.wait(lanes(connection), LONG)

    thread = threading.Thread(target=wait_for_entry, daemon=True)
    thread.start()
    blocked(connection, 2)
    push(connection, Lane.INTERACTIVE, ["job_1"])
    thread.join(LONG)
    assert not thread.is_alive()
