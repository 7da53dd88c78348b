"""The ends of logs, and what is added to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.service.log_tail import _FollowedFile, last_lines
from cli.service.standard_error import TRIM_FROM
from jobs.configuration.settings import Settings
from tests.support.command_output import output


def test_the_last_lines_are_safe_to_show(tmp_path: Path) -> None:
    """A log that is missing has none."""
    log = tmp_path / "log"
    assert last_lines(log, 5) == []
    log.write_bytes(b"a\nb\x1b[2J\n\xff\n")
    assert last_lines(log, 2) == [r"b\x1b[2J", "�"]
    assert last_lines(log, 0) == []


def test_added_lines_are_followed_over_a_rotation(tmp_path: Path) -> None:
    """A line comes when it is whole; a file that is new, emptied or put aside is read from its beginning."""
    log = tmp_path / "log"
    followed = _FollowedFile(log)
    assert followed.new_lines() == []
    log.write_text("one\ntw")
    assert followed.new_lines() == ["one"]
    with log.open("a") as file:
        file.write("o\n")
    assert followed.new_lines() == ["two"]
    log.rename(tmp_path / "log.1")
    log.write_text("three is longer than all before\n")
    assert followed.new_lines() == ["three is longer than all before"]
    os.truncate(log, 0)
    assert followed.new_lines() == []
    log.write_text("four\n")
    assert followed.new_lines() == ["four"]


def test_logs_are_shown_below_their_names(run: CliRunner, settings: Settings) -> None:
    """Without logs a sentence names their folder."""
    assert f"There are no logs in {settings.log_dir} yet" in run.invoke(captionq, ["service", "logs"]).stderr
    (settings.log_dir / "worker.log").write_text("w1\nw2\n")
    (settings.log_dir / "serve.log").write_text("s1\n")
    assert output(run.invoke(captionq, ["service", "logs", "-n", "1"])) == (
        "==> worker.log <==\nw2\n==> serve.log <==\ns1\n"
    )


@pytest.mark.parametrize("name", ["service.err", "mine.log"])
def test_only_the_service_s_own_file_is_trimmed(settings: Settings, name: str) -> None:
    """Standard error may also be a file of the user's."""
    file = settings.log_dir / name
    file.write_bytes(b"x" * (TRIM_FROM + 1))
    code = (
        "import sys, pathlib; from cli.service.standard_error import trim_standard_error\n"
        "from jobs.configuration.settings import Settings\n"
        "trim_standard_error(Settings(data_dir=pathlib.Path(sys.argv[1]))); print('new', file=sys.stderr)"
    )
    with file.open("ab") as output_file:
        subprocess.run([sys.executable, "-c", code, str(settings.data_dir)], stderr=output_file, check=True)
    assert file.read_bytes() == (b"new\n" if name == "service.err" else b"x" * (TRIM_FROM + 1) + b"new\n")
