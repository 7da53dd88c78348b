"""Power failures after any change of a file: what was acknowledged is there, and what is there is whole."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.images.stored.blobs import SCHEME, find_blob
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.faults.disk_shim import ShimmedLives
from tests.faults.life_checks import check_database
from tests.faults.power_loss import Disk, read_journal
from tests.faults.seeds import EVERY, LONG, PART, PARTS
from tests.faults.tally import Tally, tally
from tests.faults.test_disk_faults import Place, library, lives, place

__all__ = ["library", "lives", "place", "tally"]

pytestmark = pytest.mark.timeout(36_000 if LONG else 300)


def put_back(place: Place, disk: Disk, dice: random.Random | None) -> None:
    """Put the files on the disk that are there after the power failure."""
    folders, files = disk.after_loss(dice)
    life = place.life
    for folder in (life.pictures, life.settings.blob_dir):
        shutil.rmtree(folder)
    for path in life.settings.data_dir.iterdir():
        if path.is_file():
            path.unlink()
    for name in sorted(folders):
        Path(name).mkdir(exist_ok=True)
    for name, content in files.items():
        if not Path(name).is_relative_to(life.settings.broker_dir):
            Path(name).write_bytes(content)
            # The machine is back after some minutes: temporary files are old enough to be removed by the next command.
            os.utime(name, (0, 0))


def assert_kept(place: Place, acknowledged: set[str]) -> None:
    """Assert that each acknowledged request is there with its picture, and that each answer of a run is in its file."""
    life = place.life
    check_database(life.settings)
    store = Store(life.settings)
    rows = {job.id: job for job in store.jobs()}
    store.close()
    assert acknowledged <= rows.keys()
    for row in rows.values():
        for image in row.parsed_request().images:
            if image.url.startswith(SCHEME):
                assert find_blob(image.url, life.settings).read_bytes().startswith(b"picture ")
        if row.status == JobStatus.SUCCEEDED and row.output is not None:
            assert path_of(row.output).read_text() == f"{row.text}\n"
    place.assert_sound()


def losses(disk: Disk, journal: Path) -> Iterator[tuple[int, random.Random | None]]:
    """Replay the journal up to each change, or in the gate up to some, where the power fails. Yields the number of the loss."""
    changes = list(read_journal(journal))
    every = EVERY if LONG else len(changes) // 6
    for number, change in enumerate(changes, start=1):
        disk.change(change)
        if number % every == 0 and (not LONG or number // every % PARTS == PART - 1):
            yield number // every, None
            yield number // every, random.Random(number)


def test_a_power_failure_loses_nothing_that_was_acknowledged(
    lives: ShimmedLives, place: Place, tmp_path: Path, tally: Tally
) -> None:
    """Everything that no sync has brought to the disk is lost, or a part of it. All ends well afterwards."""
    place.begin_again()
    disk, journal = Disk(place.life.settings.data_dir.parent), tmp_path / "journal"
    assert lives.turn(place.life, journal=journal).status == 0
    for count, dice in losses(disk, journal):
        with tally.going_on(place.life, f"{'all' if dice is None else 'some'} {count}"):
            tally.count(is_made=True)
            acknowledged = set(disk.now(place.life.acknowledged).decode().split())
            put_back(place, disk, dice)
            assert_kept(place, acknowledged)
            place.life.acknowledged.write_text("".join(f"{job_id}\n" for job_id in sorted(acknowledged)))
            if LONG or (count == 3 and dice is None):
                place.end_well(lives)
