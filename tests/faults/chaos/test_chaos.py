"""The real thing under random faults: its processes are killed, stopped, starved and lied to while clients go on.

Then the faults stop: everything has to end within `REST` seconds, and the history of all clients has to be true.
`make chaos SECONDS=3600` does this for longer, with more kinds of faults, and with a model that looks at its pictures.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.file_locks import try_lock
from tests.faults.chaos import kinds
from tests.faults.chaos.clock import JumpingClock, can_jump
from tests.faults.chaos.random_faults import Fault
from tests.faults.chaos.run import ENVIRONMENT, IS_LONG, MODEL, SECONDS, run_chaos
from tests.faults.chaos.supervised import Supervised
from tests.support.disks import can_mount, mounted
from tests.support.known_models import know_built_in_models
from tests.support.processes import Captionq, until

#: Kinds of a short run: it does not pay for starts of the server and the command.
SHORT = ("kill worker", "kill broker", "freeze worker", "flush broker")

pytestmark = pytest.mark.timeout(SECONDS + 600)


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """The data folder of a long run is a small disk, which can be filled, if this machine lets the tests mount one."""
    with ExitStack() as disk:
        if IS_LONG and can_mount(settings.data_dir):
            database = (settings.data_dir / "captionq.db").read_bytes()
            disk.enter_context(mounted(settings.data_dir, f"{int(400 + SECONDS)}m"))
            (settings.data_dir / "captionq.db").write_bytes(database)
            settings.make_folders()
        yield settings


@pytest.fixture
def captionq(settings: Settings) -> Captionq:
    """The command, with the settings of the run."""
    captionq = Captionq(settings)
    if MODEL == "demo":
        know_built_in_models(settings)
    captionq.environment |= ENVIRONMENT
    return captionq


def test_everything_ends_well_after_random_faults(captionq: Captionq, tmp_path: Path) -> None:
    """Nothing that was acknowledged is lost, nothing is done twice, and nothing is left behind."""
    settings = captionq.settings
    clock = JumpingClock(tmp_path) if can_jump() else None
    if clock is not None:
        captionq.environment |= clock.environment

    def faults(serve: Supervised, command: Supervised) -> Mapping[str, Fault]:
        worker, broker = (
            kinds.process_in(path) for path in (settings.worker_lock, settings.broker_dir / "server.lock")
        )
        api, caption = kinds.process_of(serve), kinds.process_of(command)
        found = {
            "kill worker": kinds.kill(worker),
            "kill broker": kinds.kill(broker),
            "kill API": kinds.kill(api),
            "kill command": kinds.kill(caption),
            "freeze worker": kinds.freeze(worker, lid=IS_LONG),
            "freeze broker": kinds.freeze(broker, lid=IS_LONG),
            "freeze API": kinds.freeze(api),
            "flush broker": kinds.flush(settings),
            "read-only broker": kinds.read_only_broker(settings),
            "full broker": kinds.full_broker(settings),
            "slow broker": kinds.slow_down(broker),
            "lock database": kinds.lock_database(settings.data_dir / "captionq.db"),
        }
        if clock is not None:
            found["clock"] = kinds.jump(clock)
        if settings.data_dir.is_mount():
            found["full disk"] = kinds.fill_disk(settings.data_dir)
        return found if IS_LONG else {name: fault for name, fault in found.items() if name in SHORT}

    run_chaos(captionq, tmp_path, "one Mac", faults)
    assert_nothing_is_left(captionq, tmp_path / "pictures")


def assert_nothing_is_left(captionq: Captionq, pictures: Path) -> None:
    """Assert that no process, socket, held lock or temporary file is left."""
    settings = captionq.settings
    until(lambda: captionq.processes() == [] and not captionq.broker_answers(), "the end of all processes", 60)
    assert [path for path in settings.broker_dir.rglob("*") if path.is_socket()] == []
    assert sorted(path.name for path in pictures.iterdir() if path.suffix not in (".png", ".txt")) == []
    for path in settings.data_dir.rglob("*.lock"):
        with path.open("a") as file:
            assert try_lock(file, fcntl.LOCK_EX), f"{path} is held"
