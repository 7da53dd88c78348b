"""The broker as a process: found, started, ended with its owner, and nothing lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from redis import Redis

from jobs import broker
from jobs.errors import BrokerError
from jobs.settings import Settings
from tests.processes import until


def test_a_running_broker_is_used_by_whoever_comes_second(settings: Settings) -> None:
    """Only the one who started it holds its process."""
    first = broker.find_or_start(settings)
    second = broker.find_or_start(settings)
    assert first.process is not None
    assert second.process is None
    assert second.connection.ping()
    first.stop()
    until(lambda: broker.find(settings) is None, "its end")


def test_what_it_held_is_there_after_it_was_killed(settings: Settings) -> None:
    """kill −9 of the server itself: what is in its file comes back, and that is all but the last second."""
    first = broker.find_or_start(settings)
    first.connection.set("kept", "yes")
    first.connection.waitaof(1, 0, 0)
    os.kill(first.connection.info("server")["process_id"], signal.SIGKILL)
    first.stop()
    second = broker.find_or_start(settings)
    assert second.connection.get("kept") == b"yes"
    second.stop()


def test_it_ends_when_its_owner_is_killed(settings: Settings) -> None:
    """kill −9 of the process that started it: the server ends too."""
    code = (
        "import os, signal, sys; from pathlib import Path; from jobs import broker; from jobs.settings import Settings\n"
        "broker.find_or_start(Settings(data_dir=Path(sys.argv[1]))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run([sys.executable, "-c", code, str(settings.data_dir)], check=False)
    assert owner.returncode == -signal.SIGKILL
    until(lambda: broker.find(settings) is None, "its end")


def test_its_socket_is_private_and_it_listens_on_no_port(settings: Settings, connection: Redis) -> None:
    """Whoever can reach Redis can queue work: nobody else can."""
    path = broker.socket_path(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert connection.config_get("port") == {"port": "0"}
    assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_a_long_data_folder_gets_a_short_socket(tmp_path: Path) -> None:
    """A unix socket's path has room for 103 bytes on macOS."""
    settings = Settings(data_dir=tmp_path / ("long" * 40))
    assert len(os.fsencode(broker.socket_path(settings))) <= broker.SOCKET_PATH_LIMIT
    running = broker.find_or_start(settings)
    assert running.connection.ping()
    running.stop()


def test_a_long_temporary_folder_makes_no_long_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR may be anywhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 40)))
    path = broker.socket_path(Settings(data_dir=tmp_path / ("long" * 40)))
    assert len(os.fsencode(path)) <= broker.SOCKET_PATH_LIMIT


def test_a_configured_redis_that_is_away_is_named(tmp_path: Path) -> None:
    """No server of our own is started in its place."""
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1")
    with pytest.raises(BrokerError, match="CAPTIONQ_REDIS_URL"):
        broker.find_or_start(settings)


def test_a_configured_redis_is_used(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """CAPTIONQ_REDIS_URL comes before everything else."""
    url = f"unix://{broker.socket_path(settings)}"
    running = broker.find_or_start(Settings(data_dir=tmp_path / "other", redis_url=url))
    assert running.process is None
    assert running.connection.info("server")["process_id"] == connection.info("server")["process_id"]


def test_a_keeper_that_does_not_end_is_ended(connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """And waited for: it is no zombie afterwards."""
    monkeypatch.setattr(broker, "START_SECONDS", 0.01)
    keeper = subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE)
    broker.Broker(connection, keeper).stop()
    assert keeper.returncode == -signal.SIGKILL
