"""The service's command, variables and file, for both managers."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.service.definition import ServiceDefinition, _stable, local_url
from cli.service.launchd import LaunchAgent
from cli.service.systemd import UserUnit
from jobs.errors import SettingsError
from tests.support.command_output import output

HOSTILE = 'it\'s 50% of "$HOME" \\n ${x} ä'


def printed(run: CliRunner, platform: str, *options: str) -> str:
    """Return the file that `install --print` shows."""
    return output(run.invoke(captionq, ["service", "install", "--print", "--platform", platform, *options]))


def definition(command: tuple[str, ...], **environment: str) -> ServiceDefinition:
    """Return a definition of another command than captionq's."""
    return ServiceDefinition(command, environment, 60, Path("/logs/service.err"), Path("/"))


def test_the_property_list_has_what_an_agent_of_a_server_needs(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and settings are written down; the time to end is longer than the grace, and a crash is not the end."""
    monkeypatch.setenv("CAPTIONQ_GRACE", "100")
    monkeypatch.setenv("HF_HOME", "/Volumes/Models")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    monkeypatch.setenv("CAPTIONQ_MODEL", "./model")
    monkeypatch.setenv("CAPTIONQ_PINNED_MODELS", '["./model", "demo"]')
    monkeypatch.setenv("CAPTIONQ_SERVED_ROOTS", '["pictures"]')
    text = printed(run, "macos", "--model", "./model", "--allow-root", ".", "--port", "9000", "--no-worker")
    agent = plistlib.loads(text.encode())
    assert Path(agent["ProgramArguments"][0]).name == "captionq"
    assert agent["ProgramArguments"][1:] == [
        "serve", "--port", "9000", "--model", str(tmp_path / "model"), "--allow-root", str(tmp_path), "--no-worker", "--quiet"
    ]  # fmt: skip
    assert agent["EnvironmentVariables"]["CAPTIONQ_GRACE"] == "100"
    assert agent["EnvironmentVariables"]["CAPTIONQ_MODEL"] == str(tmp_path / "model")
    assert json.loads(agent["EnvironmentVariables"]["CAPTIONQ_PINNED_MODELS"]) == [str(tmp_path / "model"), "demo"]
    assert json.loads(agent["EnvironmentVariables"]["CAPTIONQ_SERVED_ROOTS"]) == [str(tmp_path / "pictures")]
    assert agent["EnvironmentVariables"]["HF_HOME"] == "/Volumes/Models"
    assert agent["EnvironmentVariables"]["CAPTIONQ_DATA_DIR"] == os.environ["CAPTIONQ_DATA_DIR"]
    assert "/opt/homebrew/bin" in agent["EnvironmentVariables"]["PATH"].split(":")
    assert agent["ExitTimeOut"] > 120
    assert agent["ProcessType"] == "Interactive"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert Path(agent["StandardErrorPath"]).parent == Path(os.environ["CAPTIONQ_DATA_DIR"]) / "logs"


def test_print_changes_nothing(run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither folder comes into being."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for platform in ("macos", "linux"):
        assert printed(run, platform)
    assert not (tmp_path / "home").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with names that steer the syntax of units."""
    (tmp_path / HOSTILE).mkdir()
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(tmp_path / HOSTILE))
    unit = tmp_path / "captionq.service"
    unit.write_text(printed(run, "linux", "--allow-root", str(tmp_path / HOSTILE)))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)], capture_output=True, text=True, env=environment, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_words_of_a_unit_are_quoted() -> None:
    """No word can begin a line of its own, or be expanded."""
    text = UserUnit(Path("/home/me")).render(definition((HOSTILE, "a\nExecStop=b"), NAME="x\n%h"))
    assert r'''ExecStart="it's 50%% of \"$$HOME\" \\n $${x} ä" "a\x0aExecStop=b"''' in text.splitlines()
    assert r'Environment="NAME=x\x0a%%h"' in text.splitlines()


def test_a_property_list_refuses_control_characters() -> None:
    """XML cannot hold them."""
    with pytest.raises(SettingsError, match="control character"):
        LaunchAgent(Path("/Users/me")).render(definition(("a\x00b",)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAPTIONQ_API_KEYS", '{"me": "a-long-secret"}'),
        ("CAPTIONQ_WEBHOOK_SECRET", "whsec_" + "a" * 32),
        ("CAPTIONQ_DATABASE_URL", "postgresql://me:a-long-secret@host/db"),
        ("HTTPS_PROXY", "http://me:a-long-secret@proxy:3128"),
        ("CAPTIONQ_REDIS_URL", "redis+sentinel://host/queue?sentinel_password=a-long-secret"),
    ],
)
def test_no_secret_is_written_down(run: CliRunner, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error names the variable, not its value."""
    monkeypatch.setenv(name, value)
    refused = run.invoke(captionq, ["service", "install", "--print"])
    assert refused.exit_code == 1
    assert f"Error: {name} holds a secret" in refused.stderr
    assert "a-long-secret" not in refused.output


def test_options_that_a_service_cannot_have_are_refused(run: CliRunner) -> None:
    """A port that changes, an open address without keys, and another platform's service."""
    for options, reason in (
        (["--print", "--port", "0"], "stays the same"),
        (["--print", "--host", "0.0.0.0"], "no API key is set"),
        (["--platform", "macos"], "goes with --print"),
    ):
        refused = run.invoke(captionq, ["service", "install", *options])
        assert refused.exit_code in (1, 2)
        assert reason in re.sub(r"\s+", " ", refused.stderr)


def test_paths_of_homebrew_have_no_version() -> None:
    """The service outlives `brew upgrade`."""
    assert _stable("/opt/homebrew/Cellar/captionq/0.1.0/libexec/bin/captionq") == (
        "/opt/homebrew/opt/captionq/libexec/bin/captionq"
    )
    assert _stable("/Users/me/.local/bin/captionq") == "/Users/me/.local/bin/captionq"


@pytest.mark.parametrize(
    "python",
    [
        "/Users/me/.cache/uv/archive-v0/abc/bin/python",
        "/Users/me/.local/pipx/.cache/4f/bin/python",
        "/home/me/.cache/pipx/4f/bin/python",
        "/Users/me/Library/Caches/pipx/4f/bin/python",
    ],
)
def test_an_environment_of_one_command_is_no_place_for_a_service(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    """It would be gone at the next login. An installed tool stays."""
    monkeypatch.setattr("sys.executable", python)
    refused = run.invoke(captionq, ["service", "install", "--print"])
    assert refused.exit_code == 1
    assert "uv tool install captionq" in refused.stderr
    monkeypatch.setattr("sys.executable", "/Users/me/.local/share/uv/tools/captionq/bin/python")
    assert run.invoke(captionq, ["service", "install", "--print"]).exit_code == 0


def test_the_address_is_this_machine_s() -> None:
    """An address that means all interfaces is none to ask."""
    assert local_url("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert local_url("::", 1) == "http://[::1]:1"
    assert local_url("192.168.1.5", 1) == "http://192.168.1.5:1"
