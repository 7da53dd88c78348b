"""The space that removed rows leave in an SQLite file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import InvalidRequestError
from jobs.store.retention.free_space import free_bytes, give_back, rewrite
from jobs.store.retention.pruning import prune
from jobs.store.store import Store
from tests.support.postgres import only_postgres, only_sqlite
from tests.support.rows import add_batch


def remove_many(store: Store) -> None:
    """Fill some megabytes with rows that are removed again, beside rows that stay."""
    for _ in range(5):
        store.cancel_batch(add_batch(store, 500)[0].id)
        add_batch(store, 1)
    prune(store.engine, time.time() + 60)


@only_sqlite
def test_the_file_shrinks_in_steps_beside_a_reader_and_a_writer(settings: Settings, store: Store) -> None:
    """The rows that stay are whole, a step at a time can be stopped, and the file has its new length when the reader has left."""
    remove_many(store)
    file = settings.data_dir / "captionq.db"
    before, free = file.stat().st_size, free_bytes(store.engine)
    assert free > 1_000_000
    steps = iter([True, False])
    first = give_back(store.engine, goes_on=lambda: next(steps))
    assert 0 < first < free
    with closing(sqlite3.connect(file)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchone()
        assert give_back(store.engine) > 0
        add_batch(store, 1)
    assert free_bytes(store.engine) == 0
    give_back(store.engine)
    assert file.stat().st_size < before - free * 0.9
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(store.jobs()) == 6


@only_sqlite
def test_a_file_of_an_older_version_shrinks_by_a_rewrite(settings: Settings, store: Store) -> None:
    """From then on it shrinks in steps, too."""
    file = settings.data_dir / "captionq.db"
    store.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    with closing(Store(settings)) as old:
        remove_many(old)
        assert give_back(old.engine) == 0
        free, before = free_bytes(old.engine), file.stat().st_size
        assert free > 1_000_000
        rewrite(old.engine)
        assert free_bytes(old.engine) == 0
        assert file.stat().st_size <= before - free * 0.9
        remove_many(old)
        assert give_back(old.engine) > 1_000_000


@only_postgres
def test_postgres_does_it_by_itself(store: Store) -> None:
    """Its autovacuum needs nobody; a rewrite is refused with the way out."""
    assert free_bytes(store.engine) == give_back(store.engine) == 0
    with pytest.raises(InvalidRequestError, match="VACUUM FULL"):
        rewrite(store.engine)
