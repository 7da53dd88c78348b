"""`captionq cache`: answers, and features of images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.configuration.settings import Settings
from worker.features import feature_files


@pytest.fixture
def folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Features of two images of one model and one of another, and a file that is being written."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    for name in ("a/1", "a/2", "b/1"):
        feature_files.write(settings.feature_dir / f"{name}{feature_files.ENDING}", b"x" * 10_000_000)
    (settings.feature_dir / f"a/.3{feature_files.UNFINISHED}").write_bytes(b"half")
    return settings.feature_dir


def said(*arguments: str) -> str:
    """Run the command; return its output."""
    ran = CliRunner().invoke(captionq, ["cache", *arguments])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_features_are_counted_whether_they_are_in_use_or_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of an earlier setting still take their room."""
    assert "Features of 3 images kept, 0.03 GB (none are added or used" in said("stats")
    monkeypatch.setenv("CAPTIONQ_FEATURE_CACHE", "2GB")
    assert "Features of 3 images kept, 0.03 GB of 2.0 GB" in said("stats")
    shown = json.loads(said("stats", "--format", "json"))
    assert shown["features"] == {"images": 3, "bytes": 30_000_000, "budget": 2_000_000_000}
    assert folder.is_dir()


def test_each_cache_can_be_cleared_by_itself(folder: Path) -> None:
    """A file that a worker is writing stays."""
    assert said("clear", "--answers") == "Forgot 0 answers.\n"
    assert len(list(feature_files.feature_files(folder))) == 3
    assert said("clear", "--features") == "Forgot the features of 3 images, 0.03 GB.\n"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [f".3{feature_files.UNFINISHED}"]
    assert said("clear") == "Forgot 0 answers.\n"


def test_a_wrong_amount_says_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share would be a share of what?"""
    monkeypatch.setenv("CAPTIONQ_FEATURE_CACHE", "10%")
    ran = CliRunner().invoke(captionq, ["cache", "stats"])
    assert ran.exit_code == 1
    assert "CAPTIONQ_FEATURE_CACHE must be an amount of room on the disk (10GB), not '10%'." in ran.output
