"""The quick action of Finder: its files, and its script with names that steer shells and AppleScript."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.service.quick_action import NAME, install, place, script, uninstall
from jobs.errors import ServiceError
from tests.support.command_output import output
from tests.support.launchd import make_program, put_first

HOSTILE = 'it\'s "$(touch hacked)" `touch hacked` \\ ; -e.jpg'


def run_script(text: str, tools: Path, *arguments: str, shell: str = "sh") -> None:
    """Run a script as Automator does, with the tools first on the path."""
    environment = {**os.environ, "PATH": put_first(tools)}
    subprocess.run([shell, "-c", text, shell, *arguments], env=environment, cwd=tools, check=True)


def test_the_workflow_is_made_replaced_and_removed(tmp_path: Path) -> None:
    """Both files are property lists, and the script is the action's."""
    folder = place(tmp_path)
    assert not uninstall(folder)
    install(folder, "old")
    install(folder, "new & <script>")
    assert [path.name for path in folder.parent.iterdir()] == [f"{NAME}.workflow"]
    document = plistlib.loads((folder / "Contents/document.wflow").read_bytes())
    (action,) = document["actions"]
    assert action["action"]["ActionParameters"]["COMMAND_STRING"] == "new & <script>"
    assert action["action"]["ActionParameters"]["inputMethod"] == 1
    assert document["workflowMetaData"]["serviceInputTypeIdentifier"] == "com.apple.Automator.fileSystemObject"
    (service,) = plistlib.loads((folder / "Contents/Info.plist").read_bytes())["NSServices"]
    assert service["NSMenuItem"] == {"default": NAME}
    assert uninstall(folder)
    assert not folder.exists()


def test_a_workflow_of_another_is_left_alone(tmp_path: Path) -> None:
    """A person may have made one of that name."""
    folder = place(tmp_path)
    folder.mkdir(parents=True)
    (folder / "mine").touch()
    for change in (lambda: install(folder, "text"), lambda: uninstall(folder)):
        with pytest.raises(ServiceError, match=r"is not captionq's"):
            change()
    assert (folder / "mine").exists()


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_names_are_data_for_the_script(tmp_path: Path, shell: str) -> None:
    """They arrive at captionq as they are, and its last line arrives at the notification."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    for name, text in (
        (
            "fake captionq",
            '#!/bin/sh\nprintf "%s\\n" "$NAME" "$@" > called\nprintf "%s\\n" "12 images: $4" "Tokens: 5"\n',
        ),
        ("osascript", '#!/bin/sh\nfor last; do :; done\nprintf "%s" "$last" > told\n'),
    ):
        make_program(tmp_path / name, text)
    text = script([str(tmp_path / "fake captionq")], {"NAME": HOSTILE})
    run_script(text, tmp_path, HOSTILE, "-rf", shell=shell)
    assert (tmp_path / "called").read_text() == f"{HOSTILE}\ncaption\n--no-notify\n--\n{HOSTILE}\n-rf\n"
    assert (tmp_path / "told").read_text() == f"12 images: {HOSTILE}"
    assert not (tmp_path / "hacked").exists()


def test_an_end_without_a_summary_is_told_too(tmp_path: Path) -> None:
    """An error of captionq is the notification."""
    make_program(tmp_path / "osascript", '#!/bin/sh\nfor last; do :; done\nprintf "%s" "$last" > told\n')
    make_program(tmp_path / "silent", "#!/bin/sh\nexit 1\n")
    make_program(tmp_path / "failing", "#!/bin/sh\necho 'Error: The disk is full.' >&2\nexit 1\n")
    run_script(script([str(tmp_path / "silent")], {}), tmp_path, "a.jpg")
    assert (tmp_path / "told").read_text() == "captionq has ended without a summary."
    run_script(script([str(tmp_path / "failing")], {}), tmp_path, "a.jpg")
    assert (tmp_path / "told").read_text() == "Error: The disk is full."


@pytest.mark.skipif(sys.platform == "darwin", reason="this machine has a Finder")
def test_the_command_prints_the_script_and_refuses_other_machines(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--print` is for Shortcuts. Where there is no Finder, nothing is written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    printed = output(run.invoke(captionq, ["service", "install", "--quick-action", "--print"]))
    assert 'caption --no-notify -- "$@"' in printed
    assert f"CAPTIONQ_DATA_DIR={tmp_path}" in printed.replace("'", "")
    refused = run.invoke(captionq, ["service", "install", "--quick-action"])
    assert refused.exit_code == 2
    assert "Quick actions belong to Finder" in refused.stderr
    assert not place(tmp_path).exists()
    assert output(run.invoke(captionq, ["service", "uninstall", "--quick-action"])) == (
        "The quick action is not installed.\n"
    )
