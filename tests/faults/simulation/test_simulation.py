"""Thousands of schedules of clients, workers, deaths and losses over the real store, queue and worker, beside a plain model.

Only the engine is in memory, and the schedule moves the time. After each event every row is as the model says; when the faults
stop, every acknowledged job ends, exactly once. `make schedules` runs many.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue import broker, feeding
from tests.faults.seeds import LONG, SCHEDULES, SEEDS
from tests.faults.simulation import schedule
from tests.faults.simulation.world import World
from tests.support.disks import memory
from tests.support.migrated import copy_tables

pytestmark = pytest.mark.timeout(300 + SCHEDULES)

#: The schedules that are made on Postgres as well: every so many, because they take longer there. `make sweep` makes all.
POSTGRES_EVERY = 8


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory, if there is any: nothing here is about a power failure."""
    with tempfile.TemporaryDirectory(prefix="captionq-simulation-", dir=memory()) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Redis]:
    """A broker for all schedules."""
    running = broker.find_or_start(Settings(data_dir=folder, model="demo"))
    running.connection.config_set("appendonly", "no")
    yield running.connection
    running.stop()


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
def test_every_schedule_ends_each_job_once(
    on: str, server: Redis, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients, two workers, their deaths, and losses of the broker, in any order."""
    # Windows of a few entries, so that a run does not fit into the lane.
    monkeypatch.setattr(feeding, "ENTRIES_A_WORKER", 3)
    monkeypatch.setattr(feeding, "ENTRIES_A_SLOT", 1)
    url = None
    if on == "postgres":
        template = request.getfixturevalue("migrated_database")
        url = request.getfixturevalue("postgres").create_database("simulation", template)
    settings = Settings(data_dir=folder / on, model="demo", database_url=url, slots=6)
    settings.make_folders()
    copy_tables(settings)
    world = World(server, settings)
    schedule.run_all(world, SEEDS if url is None or LONG else SEEDS[::POSTGRES_EVERY])
    world.close()
