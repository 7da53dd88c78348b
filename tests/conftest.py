"""Fixtures that many tests use: a data folder, a store and a broker of the test's own. The settings here make runs repeatable."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from fakeredis import FakeRedis, FakeServer
from redis import Redis

# The built-in models are local; no test may ask a hub, or hang without a network.
os.environ["HF_HUB_OFFLINE"] = "1"

from jobs.configuration.settings import Settings
from jobs.queue import broker
from jobs.store.connection import open_database
from jobs.store.store import Store
from tests.support import migrated
from tests.support.browser import MISSING, find_chromium
from tests.support.known_models import know_built_in_models
from tests.support.postgres import Postgres, postgres_server
from tests.support.processes import DATA_FOLDER
from tests.support.shared_files import make_shared_folder

# A shell ignores SIGINT for commands in its background, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test may write into a developer's own database, or reach this machine's servers through a proxy.
for _name in [name for name in os.environ if name.startswith("CAPTIONQ_") and not name.startswith("CAPTIONQ_TEST_")]:
    del os.environ[_name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# The gate gives the same result for the same code, on a slow machine too.
hypothesis.settings.register_profile(
    "gate",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gate")

#: Test files in the order of their durations, the slowest first, so that no process is left working while the others idle.
SLOWEST = (
    "test_two_runs",
    "test_start_page",
    "test_caption",
    "test_serve",
    "test_families",
    "test_metal_worker",
    "test_chat_page",
    "test_benchmark",
    "test_guides",
    "test_page",
    "test_every_page",
    "test_picture_pages",
    "test_interruptions",
    "test_batching_check",
    "test_many_workers",
    "test_texts",
    "test_openapi",
    "test_idle",
    "test_folders",
    "test_downloads",
    "test_batch_command",
    "test_engine",
    "test_killpoints",
    "test_disk_faults",
    "test_batches",
    "test_jobs",
    "test_signals",
    "test_database_patience",
    "test_file_kills",
    "test_broker",
    "test_safety",
    "test_chaos",
    "test_chat",
    "test_clients",
    "test_streams",
    "test_model_families",
    "test_control_tokens",
    "test_exactness",
    "test_simulation",
    "test_job_events",
)


#: The folder of the tests of the page.
PAGE_TESTS = Path(__file__).parent / "acceptance/page"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of single tests."""
    parser.addoption(
        "--page", action="store_true", help="run only the tests of the page, and fail if there is no browser for them"
    )
    parser.addoption("--thorough", action="store_true", help="run also the tests that the gate leaves out")
    parser.addoption(
        "--rewrite-guides", action="store_true", help="put the real output of the sessions into docs/guides"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse `--page` on a machine without a browser. Raises UsageError."""
    if config.getoption("page") and find_chromium() is None:
        raise pytest.UsageError(MISSING)
    make_shared_folder(config)
    # Modules and tests stay to the end: looking for garbage among them takes a tenth of the collection.
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage again, except among the modules and tests."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files into the order in which `--dist loadfile` hands them out. Within a file the order stays random.

    The files of the page's folder come one after another, because they share a browser and a server.
    """
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places) + (not _is_about_page(item))))
    if config.getoption("page"):
        _keep(config, items, _is_about_page)
    if not config.getoption("thorough"):
        _keep(config, items, lambda item: item.get_closest_marker("thorough") is None)


def _keep(config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = filter(wanted, items)


def _is_about_page(item: pytest.Item) -> bool:
    return item.path.is_relative_to(PAGE_TESTS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say at the end of the summary that tests of the page were left out."""
    yield
    left_out = [report for report in terminalreporter.getreports("skipped") if MISSING in str(report.longrepr)]
    if left_out:
        terminalreporter.write_line(f"Tests of the page that were left out: {len(left_out)}. {MISSING}", yellow=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server for the tests that use one."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file() -> Path:
    """An SQLite file with all tables and no rows."""
    return migrated.migrated_file()


@pytest.fixture(scope="session")
def migrated_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a Postgres database with all tables and no rows."""
    url = postgres.create_database("migrated")
    folder = tmp_path_factory.mktemp("migrated-postgres")
    open_database(Settings(data_dir=folder, model="demo", database_url=url)).dispose()
    return "migrated"


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of the test's own Postgres database; None: SQLite in its data folder. `both_databases` runs a test on each.

    The mark `no_tables` gives a test an empty database.
    """
    if getattr(request, "param", "sqlite") == "sqlite":
        yield None
        return
    server: Postgres = request.getfixturevalue("postgres")
    is_empty = request.node.get_closest_marker("no_tables") is not None
    template = "template1" if is_empty else request.getfixturevalue("migrated_database")
    url = server.create_database(uuid4().hex, template)
    yield url
    server.drop_database(url)


@pytest.fixture
def settings(tmp_path: Path, database: str | None, request: pytest.FixtureRequest) -> Settings:
    """Settings with a data folder of the test's own."""
    settings = Settings(data_dir=tmp_path / DATA_FOLDER, model="demo", database_url=database)
    settings.make_folders()
    if request.node.get_closest_marker("no_tables") is None:
        migrated.copy_tables(settings)
    return settings


@pytest.fixture
def known_models(settings: Settings) -> None:
    """Verdicts on the built-in models in the test's data folder, so that its workers need no batching check."""
    know_built_in_models(settings)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An empty store."""
    store = Store(settings)
    yield store
    store.close()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Redis]:
    """A connection to the test's own broker, a real server."""
    running = broker.find_or_start(settings)
    yield running.connection
    running.stop()


@pytest.fixture
def fake_connection() -> Iterator[Redis]:
    """A Redis in memory, for tests that only put values there: it has no Lua scripts, no blocking and no persistence."""
    with FakeRedis(server=FakeServer()) as connection:
        yield connection
