"""A server that falls silent, and connections that are lost: what commands of one client cost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.net import broker_address, broker_retry
from jobs.net.broker_address import connect_to
from tests.support.brokers import Valkey, valkey
from tests.support.processes import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server with two values."""
    with valkey(tmp_path) as server:
        server.connection.mset({"first": "1", "second": "2"})
        yield server


@pytest.fixture
def impatient(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A client that waits for a second."""
    for module in (broker_address, broker_retry):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(broker_retry, "FIRST_PAUSE", 3600.0)
    with closing(connect_to(server.url)) as client:
        yield client


def test_only_one_command_waits_for_a_silent_server(server: Valkey, impatient: Redis) -> None:
    """All others fail at once, those of other threads and pipelines too, until the server has answered."""
    assert impatient.get("first") == b"1"
    with server.frozen():
        with pytest.raises(RedisTimeoutError, match="Timeout reading"):
            impatient.get("first")
        for _ in range(20):
            with pytest.raises(RedisTimeoutError, match="did not answer a moment ago"):
                impatient.get("first")
        failed: list[Exception] = []

        def ask() -> None:
            try:
                with impatient.pipeline() as pipeline:
                    pipeline.get("first")
                    pipeline.execute()
            except RedisTimeoutError as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert "a moment ago" in str(failed[0])


def test_a_silent_server_is_asked_again(server: Valkey, impatient: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it answers, all commands go on. An answer that came too late is no other command's."""
    monkeypatch.setattr(broker_retry, "FIRST_PAUSE", 0.0)
    with server.frozen():
        with pytest.raises(RedisTimeoutError, match="Timeout reading"):
            impatient.get("first")
        with pytest.raises(RedisTimeoutError, match="Timeout reading"):
            impatient.get("first")

    def answer() -> object:
        try:
            return impatient.get("second")
        except RedisTimeoutError:
            return None

    until(lambda: answer() == b"2", "the answer")
    assert [impatient.get("first"), impatient.get("second")] == [b"1", b"2"]


def test_a_lost_connection_is_made_again(server: Valkey, impatient: Redis) -> None:
    """The caller does not notice."""
    assert impatient.get("first") == b"1"
    server.connection.client_kill_filter(_type="normal", skipme=True)
    assert impatient.get("second") == b"2"
