"""The version and the commit that `captionq --version` names."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import version
from cli.main import captionq


def make_checkout(folder: Path) -> str:
    """Make a checkout with one commit, and return the commit's first twelve digits."""
    for command in (
        ["git", "init", "--quiet"],
        [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "First",
        ],
        ["git", "rev-parse", "--short=12", "HEAD"],
    ):
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_checkout_names_its_commit_and_whether_files_were_changed(tmp_path: Path) -> None:
    """A folder inside of another project's checkout has no commit, and neither has a machine without git."""
    commit = make_checkout(tmp_path)
    assert version.commit_of_checkout(tmp_path) == commit
    (tmp_path / "new.txt").touch()
    subprocess.run(["git", "add", "new.txt"], cwd=tmp_path, check=True)
    assert version.commit_of_checkout(tmp_path) == f"{commit}-dirty"
    (tmp_path / "below").mkdir()
    assert version.commit_of_checkout(tmp_path / "below") is None


def test_no_git_and_a_damaged_checkout_are_no_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is shown without a commit."""
    (tmp_path / ".git").mkdir()
    assert version.commit_of_checkout(tmp_path) is None
    make_checkout(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version.commit_of_checkout(tmp_path) is None


def test_an_installed_package_has_its_commit_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written by the build, and git is not asked."""
    monkeypatch.setattr(version, "_COMMIT_FILE", tmp_path / "commit.txt")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.version_line())
    (tmp_path / "commit.txt").write_text("60f974e8c1d2\n")
    shown = CliRunner().invoke(captionq, ["--version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+ \(60f974e8c1d2\)\n", shown.output)
