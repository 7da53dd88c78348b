"""A damaged file of the queue's server: set aside, and the queue restored from the database."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ImageNotReachedError
from jobs.queue import broker
from jobs.queue.append_only_file import KEPT, NAME, set_aside
from jobs.queue.lanes import lanes, push
from jobs.queue.reconcile import reconcile
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.processes import Captionq
from tests.support.rows import add_batch


def piece(file: Path, pattern: str) -> Path:
    """Return the one file of the append-only file that matches the pattern."""
    [found] = file.glob(pattern)
    return found


def zeros_at_the_end(file: Path) -> None:
    """Append zeros, as a power failure does."""
    with piece(file, "*.incr.aof").open("ab") as log:
        log.write(bytes(4096))


def cut_short(file: Path) -> None:
    """Cut the file in the middle of a command: the server reads all whole commands."""
    log = piece(file, "*.incr.aof")
    log.write_bytes(log.read_bytes()[:-7])


def garbled_middle(file: Path) -> None:
    """Overwrite a block in the middle."""
    log = piece(file, "*.incr.aof")
    data = log.read_bytes()
    middle = len(data) // 2
    log.write_bytes(data[:middle] + b"\xff" * 64 + data[middle + 64 :])


def missing_piece(file: Path) -> None:
    """Delete the log that the manifest names."""
    piece(file, "*.incr.aof").unlink()


def missing_base(file: Path) -> None:
    """Delete the base that the manifest names."""
    piece(file, "*.base.rdb").unlink()


def garbled_base(file: Path) -> None:
    """Overwrite the base with data of another kind."""
    piece(file, "*.base.rdb").write_bytes(b"\xff" * 64)


def missing_manifest(file: Path) -> None:
    """Delete the manifest: the server then begins with an empty queue."""
    piece(file, "*.manifest").unlink()


def empty_manifest(file: Path) -> None:
    """Empty the manifest, as a power failure does."""
    piece(file, "*.manifest").write_bytes(b"")


def no_folder(file: Path) -> None:
    """Put a file in the folder's place."""
    shutil.rmtree(file)
    file.write_text("")


#: Kinds of damage, and whether each keeps the server from starting.
DAMAGES: list[tuple[Callable[[Path], None], bool]] = [
    (zeros_at_the_end, True),
    (cut_short, False),
    (garbled_middle, True),
    (missing_piece, True),
    (missing_base, True),
    (garbled_base, True),
    (missing_manifest, False),
    (empty_manifest, True),
    (no_folder, True),
]


def damaged(settings: Settings) -> list[Path]:
    """Return the files that were set aside, oldest first."""
    return sorted(settings.broker_dir.glob("damaged-*"))


@pytest.mark.parametrize(("damage", "stops_the_server"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_job_is_queued_again_after_its_file_was_damaged(
    settings: Settings,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    stops_the_server: bool,
) -> None:
    """The database is the truth. A file that the server cannot read is kept for a later look, and the log names it."""
    _, jobs = add_batch(store, 50)
    ids = [job.id for job in jobs]
    running = broker.find_or_start(settings)
    push(running.connection, Lane.BULK, ids)
    running.stop()
    damage(settings.broker_dir / NAME)

    running = broker.find_or_start(settings)
    assert bool(damaged(settings)) is stops_the_server
    assert [str(path) in caplog.text for path in damaged(settings)] == [True] * stops_the_server
    reconcile(store, running.connection)
    waiting = [job_id for queue in lanes(running.connection) for job_id in queue.get_job_ids()]
    assert sorted(waiting) == sorted(ids)
    running.stop()


def test_only_the_newest_damaged_files_are_kept(settings: Settings) -> None:
    """Otherwise they would fill the disk one day."""
    seen: list[Path] = []
    for _ in range(KEPT + 1):
        (settings.broker_dir / NAME).mkdir()
        seen += filter(None, [set_aside(settings.broker_dir)])
    assert damaged(settings) == seen
    broker.find_or_start(settings).stop()
    empty_manifest(settings.broker_dir / NAME)
    broker.find_or_start(settings).stop()
    seen += [path for path in damaged(settings) if path not in seen]
    assert len(seen) == KEPT + 2
    assert damaged(settings) == seen[-KEPT:]


def test_a_worker_goes_on_after_the_file_was_damaged(settings: Settings, store: Store) -> None:
    """The real command finds the rows that the queue lost, and reports the damage."""
    _, jobs = add_batch(store, 2)
    broker.find_or_start(settings).stop()
    zeros_at_the_end(settings.broker_dir / NAME)
    ran = Captionq(settings).run("work", "--burst")
    assert ran.returncode == 0, ran.stderr
    assert "The queue's file was damaged" in ran.stderr
    assert str(damaged(settings)[0]) in (settings.log_dir / "worker.log").read_text()
    # They were found and tried. Their folder does not exist, so they wait for a worker that reaches it.
    assert [store.job(job.id).error_code for job in jobs] == [ImageNotReachedError.code] * 2
