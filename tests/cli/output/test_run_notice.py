"""The notification at the end of a run: the text is data for the program, and nothing is shown that is not wished."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.output import run_notice
from cli.output.run_notice import RunNotice, notify_command
from tests.support.launchd import make_program, put_first

HOSTILE = 'it\'s " & (do shell script "touch hacked") & " \\ $(touch hacked) -e <b>\x1b[31m\n.jpg'


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which a program in place of `osascript` and `notify-send` writes its arguments, on a desktop."""
    for name in ("osascript", "notify-send"):
        make_program(tmp_path / name, f"#!/bin/sh\nprintf '%s\\0' \"$@\" > '{tmp_path}/told'\n")
    monkeypatch.setattr(run_notice, "OSASCRIPT", tmp_path / "osascript")
    monkeypatch.setenv("PATH", put_first(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return tmp_path / "told"


def test_a_name_is_an_argument_of_both_programs(told: Path) -> None:
    """The script on macOS is always the same; on Linux the text is no markup, and never an option."""
    first, second = notify_command(HOSTILE, "darwin"), notify_command("anything", "darwin")
    assert first is not None
    assert second is not None
    assert list(first[:-1]) == list(second[:-1])
    assert (first[-2], first[-1]) == ("captionq", HOSTILE)
    assert "item 2 of argv" in first[4]
    linux = notify_command("-e <b> & more", "linux")
    assert linux is not None
    assert list(linux[1:]) == ["--app-name=captionq", "--", "captionq", "-e &lt;b&gt; &amp; more"]


def test_a_run_is_told_when_it_is_long_or_when_it_is_wished(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Characters that steer a terminal are shown as such."""
    RunNotice(None).send("short")
    RunNotice(False).send("never")
    assert not told.exists()
    RunNotice(True).send(HOSTILE)
    shown = told.read_text().split("\0")[-2]
    assert "touch hacked" in shown
    assert "\x1b" not in shown
    monkeypatch.setattr(run_notice, "LONG_RUN", 0.0)
    RunNotice(False).send("never")
    assert "never" not in told.read_text()
    RunNotice(None).send("long")
    assert told.read_text().endswith("captionq\0long\0")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("variable", ["SSH_CONNECTION", "DISPLAY"])
def test_without_a_desktop_only_a_wish_is_answered(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    """Over ssh the notification would appear on a screen that the person does not see."""
    monkeypatch.setattr(run_notice, "LONG_RUN", 0.0)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if variable == "DISPLAY":
        monkeypatch.delenv("DISPLAY")
    else:
        monkeypatch.setenv(variable, "10.0.0.1 22 10.0.0.2 22")
    RunNotice(None).send("long")
    assert capsys.readouterr().err == ""
    RunNotice(True).send("wished")
    assert "no notification" in capsys.readouterr().err
    assert not told.exists()
    assert notify_command("text", "linux") is None


def test_a_program_that_fails_ends_no_run(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is told to a person who asked for the notification."""
    make_program(told.parent / "notify-send", "#!/bin/sh\nexit 1\n")
    monkeypatch.setattr(run_notice, "OSASCRIPT", Path("/missing"))
    RunNotice(True).send("text")
    assert "missing or failed" in capsys.readouterr().err
    assert notify_command("text", "darwin") is None
