"""The broker as a process: found, started, ended with its owner, and nothing lost."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import psutil
import pytest
from redis import Redis
from rq.utils import get_version

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError, BrokerSilentError
from jobs.net import broker_address
from jobs.queue import broker, broker_server
from jobs.queue.append_only_file import NAME
from jobs.queue.broker_server import server_binary
from jobs.queue.broker_socket import SOCKET_PATH_LIMIT, socket_path
from jobs.store.store import Store
from tests.support.brokers import suspended
from tests.support.processes import has_ended, kill, until
from worker.dispatch.queue_worker import QueueWorker

#: Names of data folders: as macOS has them, in NFC and NFD, and with characters special to URLs, shells and configuration
#: files.
NAMES = [
    "Application Support",
    "it's dätä",
    "a\u0308",
    "a=b, c;d",
    "q?x#y%20z&%",
    'back\\slash "$HOME" `x`',
    "line\nbreak",
]


def close_as_the_kernel_does(user: broker.Broker) -> None:
    """Close what the kernel closes when the process that started the server is killed: the server is not told."""
    assert user.process is not None
    assert user.process.stdin is not None
    assert user.users is not None
    assert user.owner is not None
    user.process.stdin.close()
    user.connection.close()
    user.owner.close()
    user.users.close()


def test_a_running_broker_is_used_by_a_second_caller(settings: Settings) -> None:
    """Only the first caller, which started the server, holds its process."""
    first = broker.find_or_start(settings)
    second = broker.find_or_start(settings)
    assert first.process is not None
    assert second.process is None
    assert second.connection.ping()
    second.stop()
    assert first.connection.ping()
    first.stop()
    until(lambda: broker.find(settings) is None, "its end")


def test_the_wait_for_the_end_of_a_server_ends_when_its_connection_is_closed(settings: Settings) -> None:
    """Another thread closes it when a run ends, while nothing is read or sent. No error comes out of the wait."""
    user = broker.find_or_start(settings)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(user.await_end)

        def ends() -> bool:
            # Again, if the wait had not begun yet.
            user.connection.close()
            return waiting.done()

        until(ends, "the end of the wait")
        user.stop()
        waiting.result()


def test_a_server_that_was_not_started_is_not_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket a connection is not tried again and again. A killed server leaves its socket, and may come back."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    assert broker.find(settings) is None
    assert pauses == []
    socket_path(settings).touch()
    assert broker.find(settings) is None
    assert pauses != []


def test_a_killed_server_comes_back_with_its_values(settings: Settings) -> None:
    """After kill −9 of the server itself, its file brings back all but the last second."""
    first = broker.find_or_start(settings)
    first.connection.set("kept", "yes")
    first.connection.waitaof(1, 0, 0)
    os.kill(first.connection.info("server")["process_id"], signal.SIGKILL)
    first.stop()
    second = broker.find_or_start(settings)
    assert second.connection.get("kept") == b"yes"
    second.stop()


def test_a_server_ends_when_its_owner_is_killed(settings: Settings) -> None:
    """kill −9 of the process that started the server ends the server too."""
    code = (
        "import os, signal, sys; from pathlib import Path; from jobs.queue import broker\n"
        "from jobs.configuration.settings import Settings\n"
        "broker.find_or_start(Settings(data_dir=Path(sys.argv[1]))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run([sys.executable, "-c", code, str(settings.data_dir)], check=False)
    assert owner.returncode == -signal.SIGKILL
    until(lambda: broker.find(settings) is None, "its end")


def test_a_server_whose_owner_was_killed_is_not_used(settings: Settings) -> None:
    """It answers for a while: who comes in this time gets a server that stays, with the same entries."""
    owner = broker.find_or_start(settings)
    assert owner.process is not None
    owner.connection.set("kept", "yes")
    dying = owner.connection.info("server")["process_id"]
    with suspended(owner.process.pid):
        close_as_the_kernel_does(owner)
        second = broker.find_or_start(settings)
    owner.process.wait()
    assert second.process is not None
    assert second.connection.get("kept") == b"yes"
    assert second.connection.info("server")["process_id"] != dying
    second.stop()


def test_a_server_whose_owner_and_keeper_were_killed_ends_with_its_last_user(settings: Settings) -> None:
    """After kill −9 of everything but the server it serves those that use it already."""
    owner, user = broker.find_or_start(settings), broker.find_or_start(settings)
    assert owner.process is not None
    server = psutil.Process(owner.connection.info("server")["process_id"])
    keeper = psutil.Process(owner.process.pid)
    watch = [child for child in keeper.children() if child != server]
    kill([keeper, *watch])
    close_as_the_kernel_does(owner)
    owner.process.wait()
    # Until the last of them has ended, it counts as a user.
    until(lambda: all(has_ended(one) for one in watch), "the keeper's children's end")
    assert user.connection.ping()
    user.stop()
    until(lambda: has_ended(server), "its end")


@pytest.mark.parametrize("name", NAMES)
def test_a_data_folder_may_have_any_name(name: str) -> None:
    """The server starts in it, rq registers a worker and reads the server's version, and the database lies in it."""
    with TemporaryDirectory(dir="/tmp") as short:
        settings = Settings(data_dir=Path(short) / name)
        assert socket_path(settings).parent == settings.broker_dir.resolve()
        running = broker.find_or_start(settings)
        QueueWorker("worker", running.connection).register_and_leave()
        # rq's own workers and tools ask in this way, and cannot read a path with a space or an equals sign.
        assert "redis.sock" in str(running.connection.client_info()["addr"])
        assert get_version(running.connection) >= (7, 0, 0)
        running.stop()
        Store(settings).close()
        assert (settings.data_dir / "captionq.db").exists()
        assert [path.name for path in Path(short).iterdir()] == [name]


def test_a_worker_starts_with_a_configured_server_whose_socket_has_a_space_in_its_path() -> None:
    """Such a server puts the path into its clients' addresses, which redis-py cannot read."""
    with TemporaryDirectory(dir="/tmp", prefix="a socket's = ") as folder:
        path = Path(folder) / "s"
        command = [str(server_binary()), "--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            until(path.exists, "the server")
            running = broker.find_or_start(Settings(data_dir=Path(folder), redis_url=f"unix://{quote(str(path))}"))
            with pytest.raises(ValueError, match="not enough values to unpack"):
                running.connection.client_info()
            QueueWorker("worker", running.connection).register_and_leave()
            running.stop()
        finally:
            server.terminate()
            server.wait()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("#!/bin/sh\necho no good >&2\nexit 1\n", "status 1. It said: no good."),
        ("#!/bin/sh\nexit 3\n", "status 3. It said nothing."),
        ("#!/bin/sh\nkill -9 $$\n", "status 137. It said nothing."),
        (None, "not found"),
    ],
)
def test_a_server_that_dies_at_its_start_is_reported_at_once_and_its_file_stays(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, reason: str
) -> None:
    """The error holds the server's last words, and does not wait for the time that a start may take."""
    running = broker.find_or_start(settings)
    running.stop()
    before = (settings.broker_dir / NAME).stat().st_ino
    binary = tmp_path / "server"
    if program is not None:
        binary.write_text(program)
        binary.chmod(0o700)
    monkeypatch.setattr(broker_server, "server_binary", lambda: binary)
    monkeypatch.setattr(broker_server, "START_SECONDS", 3600.0)
    with pytest.raises(BrokerError, match=re.escape(reason)):
        broker.find_or_start(settings)
    assert (settings.broker_dir / NAME).stat().st_ino == before
    assert list(settings.broker_dir.glob("damaged-*")) == []


def test_its_socket_is_private_and_it_listens_on_no_port(settings: Settings, connection: Redis) -> None:
    """A process that can reach Redis can queue work, so no other user's process can reach it."""
    path = socket_path(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert connection.config_get("port") == {"port": "0"}
    assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_a_long_data_folder_gets_a_short_socket(tmp_path: Path) -> None:
    """A unix socket's path has room for 103 bytes on macOS."""
    settings = Settings(data_dir=tmp_path / ("long" * 40))
    assert len(os.fsencode(socket_path(settings))) <= SOCKET_PATH_LIMIT
    running = broker.find_or_start(settings)
    assert running.connection.ping()
    running.stop()


def test_the_short_socket_is_the_same_for_every_environment_and_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal and launchd have different TMPDIRs: with two sockets, two servers would write into one file."""
    settings = Settings(data_dir=tmp_path / ("long" * 40))
    path = socket_path(settings)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings.make_folders()
    (tmp_path / "link").symlink_to(settings.data_dir)
    assert socket_path(settings) == path
    assert socket_path(Settings(data_dir=tmp_path / "link")) == path


def test_there_is_no_second_server_for_a_data_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose socket is gone still writes its file: the error names that server, and no other server starts."""
    first = broker.find_or_start(settings)
    pid = first.connection.info("server")["process_id"]
    socket_path(settings).unlink()
    monkeypatch.setattr(broker_server, "START_SECONDS", 0.1)
    with pytest.raises(BrokerError, match=f"PID {pid}"):
        broker.find_or_start(settings)
    first.stop()


def test_a_configured_redis_that_is_away_is_named(tmp_path: Path) -> None:
    """The data folder's own server is not started in its place."""
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1")
    with pytest.raises(BrokerError, match=r"redis://127\.0\.0\.1:1 cannot be used .*Connection refused"):
        broker.find_or_start(settings)


def test_a_configured_redis_is_used(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """CAPTIONQ_REDIS_URL comes before everything else."""
    url = f"unix://{quote(str(socket_path(settings)))}"
    running = broker.find_or_start(Settings(data_dir=tmp_path / "other", redis_url=url))
    assert running.process is None
    assert running.connection.info("server")["process_id"] == connection.info("server")["process_id"]


def test_a_keeper_that_does_not_end_is_ended(fake_connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper is also waited for, so that it leaves no zombie."""
    monkeypatch.setattr(broker_server, "STOP_SECONDS", 0.01)
    keeper = subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE)
    broker.Broker(fake_connection, keeper).stop()
    assert keeper.returncode == -signal.SIGKILL


def test_a_suspended_server_is_waited_for_and_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No second server starts beside it, and the first one is used as soon as it is woken."""
    monkeypatch.setattr(broker_address, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(broker_server, "TELL_SECONDS", 0.0)
    first = broker.find_or_start(settings)
    pid = first.connection.info("server")["process_id"]
    with suspended(pid):
        threading.Timer(2.0, os.kill, (pid, signal.SIGCONT)).start()
        second = broker.find_or_start(settings)
    assert f"PID {pid}" in caplog.text
    assert second.connection.info("server")["process_id"] == pid
    second.stop()
    first.stop()


def test_a_suspended_server_that_is_not_woken_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that starts meanwhile ends with the process to end. The server's owner ends, and so does the server."""
    monkeypatch.setattr(broker_address, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(broker_server, "START_SECONDS", 0.2)
    monkeypatch.setattr(broker_server, "KILL_SECONDS", 1)
    first = broker.find_or_start(settings)
    server = psutil.Process(first.connection.info("server")["process_id"])
    with suspended(server.pid):
        with pytest.raises(BrokerSilentError, match=f"kill -9 {server.pid}"):
            broker.find_or_start(settings)
        first.stop()
        assert not server.is_running()


def test_a_kill_of_all_that_is_called_captionq_leaves_no_server(tmp_path: Path) -> None:
    """`pkill -9 -f captionq` finds processes by their arguments. The server's keeper has to outlive it: it ends the server."""
    settings = Settings(data_dir=tmp_path / "captionq")
    code = (
        "import sys; from pathlib import Path; from jobs.queue import broker\n"
        "from jobs.configuration.settings import Settings\n"
        "broker.find_or_start(Settings(data_dir=Path(sys.argv[1]))); print('started', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        processes = [psutil.Process(owner.pid), *psutil.Process(owner.pid).children(recursive=True)]
        assert len(processes) >= 4
        kill([one for one in processes if any("captionq" in part for part in one.cmdline())])
    until(lambda: not any(one.is_running() for one in processes), "the end of all")
