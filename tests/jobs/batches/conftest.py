"""Fixtures of tests about batches."""

from __future__ import annotations

import pytest
from redis import Redis

from jobs.batches import feeding
from jobs.batches.life_cycle import BatchLife
from jobs.configuration.settings import Settings
from jobs.store.store import Store
from tests.support.batches import life_of
from tests.support.postgres import on_both_databases


@pytest.fixture
def life(store: Store, fake_connection: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> BatchLife:
    """Batches with a window of four lines, two of them in a transaction."""
    monkeypatch.setattr(feeding, "WINDOW", 4)
    monkeypatch.setattr(feeding, "WORTHWHILE", 2)
    monkeypatch.setattr(feeding, "LINES_A_TRANSACTION", 2)
    monkeypatch.setattr(feeding, "CLOSED_A_TRANSACTION", 2)
    return life_of(store, fake_connection, settings)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test with a database on SQLite and on Postgres."""
    on_both_databases(metafunc)
