"""Postgres: the pool of connections, time-outs, and writers that have their turns."""

from __future__ import annotations

import os
import socket
from typing import Any

from sqlalchemy import URL, Connection, text

from jobs.store.databases.sqlite import BUSY_TIMEOUT

#: Connections that a process holds to a server, and more in bursts. An API has a thread for each request that it answers.
_HELD, _IN_BURSTS = 5, 15
#: Seconds after which a connection is replaced, so that no proxy between has forgotten it.
_OLDEST = 1800
#: Seconds that a query may take: reading a page of a large export takes less.
_LONGEST_QUERY = 300

_SETTINGS = {
    "lock_timeout": f"{BUSY_TIMEOUT}s",
    "statement_timeout": f"{_LONGEST_QUERY}s",
    # Without statistics, as in a table that is just being filled, Postgres reads all rows to find some hundred files. Where no
    # index leads, it still reads all rows.
    "enable_seqscan": "off",
    # The price that is put on such a read would have each of these queries compiled.
    "jit": "off",
}

#: A writer's lock, held to the end of its transaction. The server cuts off a writer that falls silent, such as a Mac whose lid is
#: closed, before the other writers give up waiting.
_WRITERS_TURN = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '20s', true), pg_advisory_xact_lock(hashtext('captionq'))"
)
_NOT_DURABLE = text("SELECT set_config('synchronous_commit', 'off', true)")


def engine_options(url: URL) -> dict[str, Any]:
    """Return the options of an engine: none for another database. The URL's own options win."""
    if url.get_backend_name() != "postgresql":
        return {}
    options = {
        "application_name": f"captionq {socket.gethostname()} {os.getpid()}",
        "connect_timeout": 10,
        # A connection that is cut off is noticed within a minute.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()),
    }
    return {
        # Connections break when the server does: each is tested before use.
        "pool_pre_ping": True,
        "pool_size": _HELD,
        "max_overflow": _IN_BURSTS,
        "pool_recycle": _OLDEST,
        "connect_args": {name: value for name, value in options.items() if name not in url.query},
    }


def take_turn(connection: Connection, *, durable: bool) -> None:
    """Wait until no other transaction writes. See `sqlite.write_options` for `durable`."""
    connection.execute(_WRITERS_TURN)
    if not durable:
        connection.execute(_NOT_DURABLE)
