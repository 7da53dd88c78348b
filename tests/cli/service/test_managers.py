"""The calls of launchctl and systemctl, with programs of these names that write down their calls."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.service.installation import install, manager_of, uninstall
from cli.service.launchd import LaunchAgent
from cli.service.manager import ServiceState
from cli.service.systemd import UserUnit
from jobs.configuration.settings import Settings
from jobs.errors import ServiceError, SettingsError
from tests.cli.service.test_definition import definition
from tests.support.launchd import make_program, put_first


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the programs `launchctl` and `systemctl` write their arguments; `answer` in its folder is printed."""
    file = tmp_path / "tools" / "calls"
    file.parent.mkdir()
    for name in ("launchctl", "systemctl"):
        make_program(
            file.parent / name,
            f'#!/bin/sh\necho "$*" >> "{file}"\ncase "$*" in *"$(cat "{file.parent}/fails")"*) echo refused >&2; exit 5;; esac\n'
            f'cat "{file.parent}/answer"\n',
        )
    (file.parent / "fails").write_text("nothing fails")
    (file.parent / "answer").write_text("")
    monkeypatch.setenv("PATH", put_first(file.parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return file


def test_systemd_is_asked_for_the_state(calls: Path, tmp_path: Path) -> None:
    """A unit that runs has no exit status; one that ended has."""
    unit = UserUnit(tmp_path)
    (calls.parent / "answer").write_text("MainPID=12\nExecMainStatus=0\nExecMainExitTimestamp=\n")
    assert unit.state() == ServiceState(installed=False, pid=12, last_exit=None, url=None)
    unit.file.parent.mkdir(parents=True)
    unit.file.write_text(unit.render(definition(("x",), CAPTIONQ_URL="http://127.0.0.1:9")))
    (calls.parent / "answer").write_text("MainPID=0\nExecMainStatus=3\nExecMainExitTimestamp=Sun 2026-11-29\n")
    assert unit.state() == ServiceState(installed=True, pid=None, last_exit=3, url="http://127.0.0.1:9")


def test_launchd_is_asked_for_the_state(calls: Path, tmp_path: Path) -> None:
    """The address is that of the property list; a damaged list has none."""
    agent = LaunchAgent(tmp_path)
    (calls.parent / "answer").write_text(
        "gui/501/captionq.serve = {\n\tactive count = 1\n\tpid = 12\n\tlast exit code = 1\n}\n"
    )
    assert agent.state() == ServiceState(installed=False, pid=12, last_exit=1, url=None)
    agent.file.parent.mkdir(parents=True)
    agent.file.write_text(agent.render(definition(("x",), CAPTIONQ_URL="http://127.0.0.1:9")))
    (calls.parent / "answer").write_text("\tlast exit code = (never exited)\n")
    assert agent.state() == ServiceState(installed=True, pid=None, last_exit=None, url="http://127.0.0.1:9")
    agent.file.write_text("damaged")
    assert agent.state().url is None


def test_the_unit_is_loaded_enabled_and_started(calls: Path, tmp_path: Path, settings: Settings) -> None:
    """The file is written before systemd reads it. A server that ends at its start is reported with its last words."""
    settings.make_folders()
    (settings.log_dir / "service.err").write_text("first\nError: no such \x1b[2Jmodel.\n")
    (calls.parent / "answer").write_text("MainPID=0\nExecMainStatus=1\nExecMainExitTimestamp=now\n")
    unit = UserUnit(tmp_path)
    with pytest.raises(
        ServiceError, match=r"does not answer at http://127.0.0.1:9\. Error: no such \\x1b\[2Jmodel\. See"
    ):
        install(unit, definition(("x",), CAPTIONQ_URL="http://127.0.0.1:9"), settings, ("127.0.0.1", 0))
    assert calls.read_text().splitlines()[:5] == [
        "--user show-environment",
        "--user disable --quiet --now captionq.service",
        "--user daemon-reload",
        "--user enable --quiet captionq.service",
        "--user restart captionq.service",
    ]
    assert unit.file.exists()
    assert uninstall(unit)
    assert not unit.file.exists()
    assert calls.read_text().splitlines()[-1] == "--user daemon-reload"
    assert not uninstall(unit)


@pytest.mark.parametrize("failing", ["restart", "enable"])
def test_a_unit_that_systemd_refuses_leaves_no_file(
    calls: Path, tmp_path: Path, settings: Settings, failing: str
) -> None:
    """The error has the words of systemctl."""
    (calls.parent / "fails").write_text(failing)
    with pytest.raises(ServiceError, match=rf"systemctl --user {failing} .*: refused\."):
        install(UserUnit(tmp_path), definition(("x",), CAPTIONQ_URL="http://x"), settings, ("127.0.0.1", 0))
    assert not UserUnit(tmp_path).file.exists()


def test_an_agent_without_a_login_at_the_screen_is_refused_with_the_way_out(
    calls: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over ssh, launchd refuses every call for the domain of the screen. No file is left."""
    monkeypatch.setattr("os.getuid", lambda: 501)
    (calls.parent / "fails").write_text("gui/501")
    agent = LaunchAgent(tmp_path)
    with pytest.raises(ServiceError, match=r"did not take .*plist: refused\. Log in at the Mac's screen"):
        install(agent, definition(("x",), CAPTIONQ_URL="http://x"), settings, ("127.0.0.1", 0))
    assert not agent.file.exists()


def test_the_file_can_be_changed_by_its_owner_only(calls: Path, tmp_path: Path, settings: Settings) -> None:
    """launchd refuses a list that a group can write, as a umask of 002 makes files."""
    unit = UserUnit(tmp_path)
    (calls.parent / "answer").write_text("MainPID=0\nExecMainStatus=1\nExecMainExitTimestamp=now\n")
    before = os.umask(0o002)
    try:
        with pytest.raises(ServiceError, match="does not answer"):
            install(unit, definition(("x",), CAPTIONQ_URL="http://127.0.0.1:9"), settings, ("127.0.0.1", 0))
    finally:
        os.umask(before)
    assert unit.file.stat().st_mode & 0o777 == 0o644


def test_machines_without_a_manager_are_refused_with_the_way_out(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform that captionq does not know, a machine without systemd, and a user without one."""
    with pytest.raises(ServiceError, match=r"freebsd14 has neither\. Run captionq serve under"):
        manager_of("freebsd14")
    (calls.parent / "fails").write_text("show-environment")
    with pytest.raises(ServiceError, match=r"cannot be reached.*refused.*Log in as this user, not by su"):
        UserUnit(tmp_path).check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"no systemd on this machine\. Run captionq serve under"):
        UserUnit(tmp_path).check()


def test_a_port_in_use_is_no_port_for_a_service(calls: Path, tmp_path: Path, settings: Settings) -> None:
    """The service would be started again and again."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(SettingsError, match=r"Stop the captionq serve that runs there"):
            install(UserUnit(tmp_path), definition(("x",), CAPTIONQ_URL="http://x"), settings, address)
    assert not UserUnit(tmp_path).file.exists()


def test_the_status_is_told_to_people_and_programs(run: CliRunner, calls: Path) -> None:
    """The exit status is 1 unless a server answers."""
    (calls.parent / "answer").write_text("MainPID=0\nExecMainStatus=0\nExecMainExitTimestamp=\n")
    told = run.invoke(captionq, ["service", "status"])
    assert (told.exit_code, told.output) == (
        1,
        "The service is not installed. Install it with: captionq service install\n",
    )
    as_json = run.invoke(captionq, ["service", "status", "--format", "json"])
    assert '"installed": false, "pid": null, "url": null, "answers": false' in as_json.output
    assert run.invoke(captionq, ["service", "uninstall"]).output == "The service is not installed.\n"


def test_the_plist_is_one_that_plistlib_reads(tmp_path: Path) -> None:
    """Non-ASCII and markup survive."""
    text = LaunchAgent(tmp_path).render(definition(("<é&>",), CAPTIONQ_URL="http://x"))
    assert plistlib.loads(text.encode())["ProgramArguments"][0] == "<é&>"
