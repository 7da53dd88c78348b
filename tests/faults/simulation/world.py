"""What all schedules share: the broker, one database that each schedule finds empty, and a clock that stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import event

from jobs.configuration.settings import Settings
from jobs.queue.lanes import lanes
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from jobs.store.webhooks.webhook_rows import WebhookStore
from tests.faults.simulation.lean_client import lean_client

#: More than any lease, backoff or maximum age of a row without an entry: seconds.
LONG_TIME = 1000.0

# KEYS: rq's registries whose scores are times. ARGV: seconds. All keys that would have expired by then are gone.
_PASS = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TTL', key) > 0 then redis.call('DEL', key) end
end
for _, registry in ipairs(KEYS) do
  local found = redis.call('ZRANGE', registry, 0, -1)
  for _, member in ipairs(found) do redis.call('ZINCRBY', registry, -ARGV[1], member) end
end
"""
_TABLES = {
    "sqlite": "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND name NOT LIKE 'sqlite_%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}
#: Rows of these are no one's: the version of the tables.
_KEPT = "alembic_version"


class World:
    """The real store and the real broker, which are made once: a schedule begins with `begin_again`."""

    def __init__(self, connection: Redis, settings: Settings) -> None:
        self.connection, self.settings = lean_client(connection), settings
        self.store = Store(settings)
        self.hooks = WebhookStore(self.store.engine)
        dialect = self.store.engine.dialect.name
        # Beside the store: the checks read what is in the tables, whatever the store would make of it.
        database: Any = self.store.engine.raw_connection()
        self._database = database.driver_connection
        if dialect == "postgresql":
            self._database.autocommit = True
        tables = [name for (name,) in self._database.execute(_TABLES[dialect]) if name != _KEPT]
        self._emptied = (
            [f"TRUNCATE {', '.join(tables)}"]
            if dialect == "postgresql"
            else ["PRAGMA foreign_keys = OFF", "BEGIN", *(f"DELETE FROM {name}" for name in tables), "COMMIT"]
        )
        registries = [(one.started_job_registry, one.scheduled_job_registry) for one in lanes(connection)]
        self._registries = [registry.key for pair in registries for registry in pair]

    def begin_again(self) -> None:
        """Empty the database and the broker."""
        self.connection.flushall()
        for statement in self._emptied:
            self._database.execute(statement)

    def read(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the names of a query's columns, and its rows."""
        cursor = self._database.execute(query)
        return [column[0] for column in cursor.description], cursor.fetchall()

    def pass_time(self) -> None:
        """Let a long time pass for the broker and for the rows: leases run out, and backoffs are over."""
        self.connection.eval(_PASS, len(self._registries), *self._registries, LONG_TIME)
        aged = f"UPDATE job SET created_at = created_at - {LONG_TIME} WHERE status = '{JobStatus.QUEUED}'"
        self._database.execute(aged)

    @contextmanager
    def between_transactions(self, happen: Callable[[], None]) -> Iterator[None]:
        """Let something happen in the block once, between its first transaction and its second."""
        checkouts = 0

        def checkout(*_: object) -> None:
            nonlocal checkouts
            checkouts += 1
            if checkouts == 2:
                happen()

        event.listen(self.store.engine, "checkout", checkout)
        try:
            yield
        finally:
            event.remove(self.store.engine, "checkout", checkout)

    def close(self) -> None:
        self.connection.close()
        self._database.close()
        self.store.close()


@contextmanager
def still_clock() -> Iterator[None]:
    """Let the clocks stand still for the block, and no sleep take time: a schedule goes the same way on a slow machine.

    A call moves them by a microsecond, so that two moments differ.
    """
    passed = 0.0

    def clock(begun: float) -> Callable[[], float]:
        def now() -> float:
            nonlocal passed
            passed += 1e-6
            return begun + passed

        return now

    def sleep(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", clock(time.time()))
        patch.setattr(time, "monotonic", clock(time.monotonic()))
        patch.setattr(time, "sleep", sleep)
        yield
