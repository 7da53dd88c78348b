"""A crash, a full disk or a broken device at the N-th change of a file, for one N after another until there are no more.

The changes are those of the database, its write-ahead log and its checkpoints, of texts, of blobs and of recovery. In the gate
only some N are tried; `make sweep` tries each.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle, product
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError
from jobs.queue import broker
from jobs.queue.broker_server import server_binary
from jobs.store.store import Store
from tests.faults.disk_shim import Mode, ShimmedLives, compile_shim, shimmed_lives
from tests.faults.life_checks import assert_all_is_done, check_database, forget_waits, is_done, receiver
from tests.faults.scenario import FAILED, Life
from tests.faults.seeds import EVERY, LONG, of_this_part
from tests.faults.tally import JOBS, Tally, tally
from tests.support.disks import memory
from tests.support.processes import until

__all__ = ["tally"]

pytestmark = pytest.mark.timeout(36_000 if LONG else 300)

#: Turns after the faults within which everything has ended.
TURNS = 8


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim."""
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def lives(library: Path) -> Iterator[ShimmedLives]:
    """Processes with the shim."""
    with shimmed_lives(library) as lives:
        yield lives


class Place:
    """A life that begins again for each N."""

    def __init__(self, life: Life, connection: Redis, arrived: list[str], migrated: Path) -> None:
        self.life, self.connection, self.arrived, self._migrated = life, connection, arrived, migrated

    def begin_again(self) -> None:
        self.connection.flushall()
        self.arrived.clear()
        self.life.begin_again(self._migrated)

    def assert_sound(self) -> None:
        """Assert that the database is whole, and that each text is missing or whole."""
        check_database(self.life.settings)
        store = Store(self.life.settings)
        answers = {f"{job.text}\n" for job in store.jobs()}
        store.close()
        assert {path.read_text() for path in self.life.pictures.glob("*.txt")} <= answers

    def end_well(self, lives: ShimmedLives) -> None:
        """Live without faults until everything has ended, and assert that it is as it should be."""
        for _ in range(TURNS):
            forget_waits(self.life, self.connection)
            if lives.turn(self.life).status == 0 and is_done(self.life.settings):
                break
        assert_all_is_done(self.life, self.connection, self.arrived)


@pytest.fixture(scope="module")
def place(migrated_file: Path) -> Iterator[Place]:
    """A data folder with a broker, a folder of pictures, and a receiver of webhooks.

    They are in memory, if there is any: the shim counts each sync, and none has to wait for a disk.
    """
    with tempfile.TemporaryDirectory(prefix="captionq-disk-", dir=memory()) as name, receiver() as (hook, arrived):
        folder = Path(name)
        settings = Settings(data_dir=folder / "data", model="stub")
        running = broker.find_or_start(settings)
        yield Place(Life(settings, folder / "pictures", hook), running.connection, arrived, migrated_file)
        running.stop()


def faults(lives: ShimmedLives, place: Place, modes: Sequence[Mode], some: int) -> Iterator[tuple[int, Mode]]:
    """Yield numbers of changes of a life without faults, each with each mode. In the gate `some` numbers, with one mode each."""
    place.begin_again()
    turn = lives.turn(place.life)
    assert turn.status == 0
    assert turn.changes > 100
    if LONG:
        yield from of_this_part(product(range(1, turn.changes + 1, EVERY), modes))
    else:
        yield from zip(range(turn.changes // some, turn.changes, turn.changes // some), cycle(modes), strict=False)


def test_a_crash_at_any_change_loses_nothing(lives: ShimmedLives, place: Place, tally: Tally) -> None:
    """Also when the process that recovers is killed as well."""
    for point, mode in faults(lives, place, (Mode.KILL, Mode.TEAR), some=3):
        with tally.going_on(place.life, f"{mode.name} {point}"):
            place.begin_again()
            turn = lives.turn(place.life, point, mode)
            # Between two lives the number of changes differs by a few: a checkpoint, or a round of the worker.
            assert turn.status in (-signal.SIGKILL, 0)
            tally.count(is_made=turn.status != 0)
            place.assert_sound()
            again = lives.turn(place.life, 1 + point % 40, mode)
            tally.count(is_made=again.status == -signal.SIGKILL)
            place.assert_sound()
            place.end_well(lives)


def test_a_disk_error_at_any_change_loses_nothing(lives: ShimmedLives, place: Place, tally: Tally) -> None:
    """No answer gets lost or is wrong, and no job is given up because of the disk, however often the worker is started."""
    for point, mode in faults(lives, place, (Mode.FULL, Mode.BROKEN_ONCE, Mode.FULL_ONCE, Mode.BROKEN), some=3):
        with tally.going_on(place.life, f"{mode.name} {point}"):
            place.begin_again()
            for _ in range(4 if LONG else 2):
                turn = lives.turn(place.life, point, mode)
                assert turn.status in (0, FAILED)
                tally.count(is_made=turn.changes >= point)
                place.assert_sound()
            place.end_well(lives)


#: Changes of the broker's file: its beginning, and its growth while a life goes on.
OF_THE_BROKER = product(range(1, 60, EVERY), (Mode.KILL, Mode.TEAR, Mode.FULL_ONCE, Mode.BROKEN_ONCE))


@pytest.mark.parametrize(("point", "mode"), of_this_part(OF_THE_BROKER) if LONG else [(9, Mode.TEAR)])
def test_a_fault_of_the_brokers_file_loses_nothing(
    lives: ShimmedLives, library: Path, settings: Settings, tmp_path: Path, tally: Tally, point: int, mode: Mode
) -> None:
    """The broker dies at a change of its append-only file, or the disk does not take it."""
    made = tmp_path / "made"
    with receiver() as (hook, arrived):
        life = Life(settings, tmp_path / "pictures", hook)
        with broker_with(library, life.settings, point, mode, made):
            assert lives.turn(life).status in (0, FAILED)
        tally.count(is_made=made.exists())
        assert made.exists() or LONG
        # A broker that the life has started ends with it, a moment later.
        until(lambda: broker.find(life.settings) is None, "the end of the broker")
        running = broker.find_or_start(life.settings)
        Place(life, running.connection, arrived, tmp_path).end_well(lives)
        tally.ended(JOBS)
        running.stop()


@contextmanager
def broker_with(library: Path, settings: Settings, point: int, mode: Mode, made: Path) -> Iterator[None]:
    """Run a broker with the shim for the block. It may die before it answers. The fault creates the file `made`."""
    shim = {
        "LD_PRELOAD": str(library),
        "DISK_SHIM_PROGRAM": server_binary().name,
        "DISK_SHIM_FOLDER": str(settings.broker_dir.resolve()),
        "DISK_SHIM_AT": str(point),
        "DISK_SHIM_MODE": str(int(mode)),
        "DISK_SHIM_MADE": str(made),
    }
    running = None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shim.items():
            patch.setenv(name, value)
        with suppress(BrokerError):
            running = broker.find_or_start(settings)
    try:
        yield
    finally:
        if running is not None:
            assert running.process is not None
            # In a sweep the life may end before so many changes are made.
            assert running.process.poll() is not None or mode > Mode.TEAR or LONG, "the broker lives"
            running.stop()
