"""Temporary files of killed workers: removed in place, and never while a worker may be writing them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from jobs.captions.temporary_files import STALE_AFTER, sweep_own, temporary_name
from jobs.captions.text_files import text_bytes, write_output
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import plan_images
from jobs.images.walking.folder_images import by_folder
from jobs.options.composition import CompositionOptions
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.worker.dispatch.test_metal_worker import queue_scenes
from worker import service

#: A worker that is killed after a text is written, and before the file gets its name.
KILLED = """
import os, signal, sys
from pathlib import Path
from jobs.configuration.settings import Settings
from worker import service
os.link = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
service.run(Settings(data_dir=Path(sys.argv[1])), burst=True)
"""


def left(folder: Path) -> list[str]:
    """List the files of the folder that are neither images nor texts."""
    return [path.name for path in folder.iterdir() if path.is_file() and path.suffix not in (".png", ".txt")]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("known_models")
def test_what_a_killed_worker_left_is_gone_when_the_next_one_begins(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The next worker sweeps the folders that the killed one wrote to, and writes the texts."""
    folder = tmp_path / "pictures"
    batch, captions = queue_scenes(folder, 3, store, connection)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", KILLED, str(settings.data_dir)]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert len(left(folder)) == 1
    service.run(settings, burst=True)
    assert left(folder) == []
    rows = store.jobs(batch_id=batch.id)
    assert {row.source: row.text for row in rows} == captions
    assert {row.status for row in rows} == {JobStatus.SUCCEEDED}


def test_a_run_removes_old_ones_from_the_folders_that_it_walks(store: Store, tmp_path: Path) -> None:
    """Old files of any worker and of the first version go; young files and files of other programs stay."""
    (tmp_path / "a.png").touch()
    old = [temporary_name("gone"), ".a.txt.0123abcd.tmp"]
    others = [".a.png.0123abcd.tmp", ".a.txt.tmp", "captionq-0123abcd-0123abcd.tmp", ".a.txt.abc.tmp"]
    for name in (*old, *others):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - STALE_AFTER - 1))
    young = temporary_name("alive")
    (tmp_path / young).touch()
    list(plan_images(by_folder([tmp_path / "a.png"]), CompositionOptions(), store=store, digest_of=str))
    assert sorted(left(tmp_path)) == sorted([*others, young])


def test_a_worker_removes_only_its_own(tmp_path: Path) -> None:
    """A worker of another data folder may be writing in the same folder."""
    own, other = temporary_name("this worker"), temporary_name("another worker")
    for name in (own, other):
        (tmp_path / name).touch()
    assert sweep_own([tmp_path, tmp_path / "gone"], "this worker") == 1
    assert left(tmp_path) == [other]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """The text's name has 255 bytes: the temporary name does not grow with it."""
    path = tmp_path / ("字" * 83 + "ab.txt")
    assert write_output(path, text_bytes("a text"), replaces=None, writer="worker")
    assert list(tmp_path.iterdir()) == [path]
