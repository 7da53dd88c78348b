"""The early start of a run's worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.runs.processes.early_worker import start_early
from jobs.configuration.settings import Settings
from jobs.options.caption_options import CaptionOptions
from tests.support.old_databases import OLDEST, bring_old_database
from tests.support.processes import Captionq, until
from worker.lock import is_running, worker_lock


def test_a_worker_starts_only_for_work(settings: Settings, tmp_path: Path) -> None:
    """No worker is started for folders without images, for images that have texts, or beside a running worker."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    (folder / "notes.md").touch()
    (folder / ".hidden.png").touch()
    options = CaptionOptions()
    assert start_early(settings, [folder, tmp_path / "gone"], options) is None
    for name in ("one.png", "one.txt"):
        (folder / "below" / name).touch()
    assert start_early(settings, [folder, folder / "below" / "one.png"], options) is None
    (folder / "below" / "two.JPG").touch()
    assert start_early(settings, [folder], CaptionOptions(recursive=False)) is None
    with worker_lock(settings):
        assert start_early(settings, [folder], options) is None


@pytest.mark.no_tables
def test_no_worker_starts_before_an_old_database_is_migrated(settings: Settings, tmp_path: Path) -> None:
    """The command changes the tables, so that its terminal shows where the copy of the database is."""
    (tmp_path / "one.png").touch()
    bring_old_database(settings, OLDEST)
    assert start_early(settings, [tmp_path], CaptionOptions()) is None


@pytest.mark.parametrize("ready", [False, True], ids=["while it imports", "while it waits for the broker"])
def test_a_worker_that_is_not_needed_ends_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    """It starts no broker, and ends without its grace."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    (tmp_path / "one.png").touch()
    worker = start_early(settings, [tmp_path / "one.png"], CaptionOptions(existing="replace"))
    assert worker is not None
    if ready:
        until(lambda: is_running(settings), "the worker")
    worker.stop()
    assert not worker.is_running
    assert not is_running(settings)
    assert not Captionq(settings).broker_answers()
