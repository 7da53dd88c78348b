"""What many tests need: a data folder of their own, a store and a broker in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis

# The built-in models are local; nothing here may ask a hub, or hang where there is no network.
os.environ["HF_HUB_OFFLINE"] = "1"

from jobs import broker
from jobs.settings import Settings
from jobs.store import Store
from tests.postgres import Postgres, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres for those tests that want one."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str | None:
    """The URL of a database of the test's own; None: the one in its data folder. Tests that ask for both run on each."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database(uuid4().hex)


@pytest.fixture
def settings(tmp_path: Path, database: str | None) -> Settings:
    """Settings with a data folder of the test's own."""
    settings = Settings(data_dir=tmp_path / "data", model="demo", database_url=database)
    settings.make_folders()
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An empty store."""
    store = Store(settings)
    yield store
    store.close()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Redis]:
    """A connection to a broker of the test's own."""
    running = broker.find_or_start(settings)
    yield running.connection
    running.stop()
