"""What many tests need: a data folder of their own, a store and a broker in it; and what keeps a run like every other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from redis import Redis

# The built-in models are local; nothing here may ask a hub, or hang where there is no network.
os.environ["HF_HUB_OFFLINE"] = "1"

from jobs.queue import broker
from jobs.settings import Settings
from jobs.store.store import Store
from tests.support.known_models import know_built_in_models
from tests.support.postgres import Postgres, postgres_server
from tests.support.processes import DATA_FOLDER

# Nor may tests write into a developer's own database, or ask a proxy for what is on this machine.
for _name in [name for name in os.environ if name.startswith("CAPTIONQ_") and not name.startswith("CAPTIONQ_TEST_")]:
    del os.environ[_name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# The gate says the same of the same code, on a slow machine too.
hypothesis.settings.register_profile(
    "gate",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gate")

#: The slowest first, so that at the end no process works on one of them while the others have nothing left to do.
SLOWEST = (
    "test_caption",
    "test_two_runs",
    "test_two_runs",
    "test_serve",
    "test_openapi",
    "test_killpoints",
    "test_metal_worker",
    "test_benchmark",
    "test_jobs",
    "test_folders",
    "test_safety",
    "test_chat",
    "test_clients",
    "test_streams",
    "test_job_events",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files, in the order in which `--dist loadfile` hands them out; within one the order stays random."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


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
    settings = Settings(data_dir=tmp_path / DATA_FOLDER, model="demo", database_url=database)
    settings.make_folders()
    return settings


@pytest.fixture
def known_models(settings: Settings) -> None:
    """Workers of the test's data folder need not try the built-in models out."""
    know_built_in_models(settings)


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
