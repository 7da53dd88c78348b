"""Events of jobs on their streams."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from jobs.queue import events as events_module
from jobs.queue.events import KEPT, KEPT_ENDED, Event, publish, read, read_many, wake


def test_events_are_read_in_order_and_from_a_position(connection: Redis) -> None:
    """The id of the last event that a client has seen leads to the next one."""
    publish(connection, [Event("job_1", "state", {"status": "running"}), Event("job_1", "tokens", {"text": "é"})])
    first, second = read(connection, "job_1")
    assert (first.job_id, first.name, first.data) == ("job_1", "state", {"status": "running"})
    assert (second.name, second.data) == ("tokens", {"text": "é"})
    assert read(connection, "job_1", first.id) == [second]
    assert read(connection, "job_1", second.id) == []


def test_several_jobs_are_read_together(connection: Redis) -> None:
    """Each job has its own position, and jobs without new events are left out."""
    publish(connection, [Event("job_1", "state", {}), Event("job_2", "state", {}), Event("job_2", "ended", {})])
    last = read(connection, "job_1")[-1].id
    found = read_many(connection, {"job_1": last, "job_2": "0", "job_3": "0"})
    assert {job_id: [event.name for event in events] for job_id, events in found.items()} == {
        "job_2": ["state", "ended"]
    }


def test_a_stream_has_a_limit_and_an_end(connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis keeps the newest events only, and forgets an ended job's stream soon."""
    monkeypatch.setattr(events_module, "LENGTH", 20)
    publish(connection, [Event("job_1", "tokens", {"number": number}) for number in range(400)])
    events = read(connection, "job_1")
    assert 20 <= len(events) < 400
    assert events[-1].data == {"number": 399}
    assert KEPT_ENDED < connection.ttl("captionq:events:job_1") <= KEPT
    publish(connection, [Event("job_1", "ended", {})])
    assert 0 < connection.ttl("captionq:events:job_1") <= KEPT_ENDED


def test_a_reader_can_be_woken(connection: Redis) -> None:
    """The key stands among the positions like a job's id."""
    wake(connection, "hub")
    assert [event.name for event in read_many(connection, {"job_1": "0", "hub": "0"})["hub"]] == ["wake"]


def test_a_waiting_reader_gets_the_events_of_all_jobs_at_once(connection: Redis) -> None:
    """Events that are published together wake a reader once, not once for each job."""
    positions = {f"job_{number}": "0" for number in range(32)}
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(read_many, connection, positions, wait=30.0)
        while not connection.info("clients")["blocked_clients"]:
            time.sleep(0.001)
        publish(connection, [Event(job_id, "tokens", {}) for job_id in positions])
        assert found.result().keys() == positions.keys()
