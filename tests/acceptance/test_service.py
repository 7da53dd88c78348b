"""The whole way of the service, with a small launchd in the place of macOS' own."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from cli.service.definition import define, error_file
from cli.service.installation import answers, install, uninstall
from cli.service.launchd import LaunchAgent
from jobs.configuration.settings import Settings
from tests.support.launchd import make_launchctl, put_first


@pytest.mark.skipif(sys.platform != "linux", reason="the small launchd reads /proc")
def test_the_agent_serves_from_its_property_list_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables, folder and options are those of the file; SIGTERM ends the server in order, and its log is its own."""
    calls = make_launchctl(tmp_path / "tools")
    monkeypatch.setenv("PATH", put_first(tmp_path / "tools"))
    monkeypatch.setattr("os.getuid", lambda: 501)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAPTIONQ_MODEL", "demo")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    agent = LaunchAgent(tmp_path)
    definition = define(settings, ("--port", str(port), "--no-worker"), host="127.0.0.1", port=port)
    install(agent, definition, settings, ("127.0.0.1", port))
    try:
        state = agent.state()
        assert (state.installed, state.url) == (True, definition.url)
        assert state.pid is not None
        assert answers(definition.url)
    finally:
        assert uninstall(agent)
    assert not answers(definition.url)
    assert agent.state().pid is None
    assert error_file(settings).read_text() == ""
    assert "captionq serves at" in (settings.log_dir / "serve.log").read_text()
    assert "Stopping" in (settings.log_dir / "serve.log").read_text()
    verbs = [line.split()[0] for line in calls.read_text().splitlines()]
    assert verbs[:4] == ["bootout", "print", "enable", "bootstrap"]
