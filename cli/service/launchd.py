"""The service as an agent of launchd: its property list, and the calls of launchctl."""

from __future__ import annotations

import os
import plistlib
import re
import time
from pathlib import Path

from cli.service.definition import URL_VARIABLE, ServiceDefinition
from cli.service.manager import TOOL_SECONDS, ServiceState, run_tool
from jobs.errors import ServiceError, SettingsError

LABEL = "captionq.serve"
#: Seconds between two starts of a server that fails.
THROTTLE = 30
#: Seconds between two looks whether an agent has ended: an agent that still ends cannot be loaded again.
END_PAUSE = 0.2
_PID = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
_EXIT = re.compile(r"^\s*last exit code = (\d+)", re.MULTILINE)


class LaunchAgent:
    """captionq's agent of the user who is logged in."""

    name = "launchd"

    def __init__(self, home: Path) -> None:
        self.file = home / "Library/LaunchAgents" / f"{LABEL}.plist"
        self._domain = f"gui/{os.getuid()}"
        self._target = f"{self._domain}/{LABEL}"

    def check(self) -> None:
        """Raise ServiceError if the agent cannot be managed from here."""
        if os.getuid() == 0:
            raise ServiceError("An agent belongs to a user. Run the command without sudo.")

    def render(self, definition: ServiceDefinition) -> str:
        """Return the property list. Raises SettingsError for text that none can hold."""
        try:
            return plistlib.dumps(_properties(definition), sort_keys=False).decode()
        except ValueError as error:
            raise SettingsError(f"A path or a setting has a control character: {error}.") from error

    def load(self, definition: ServiceDefinition) -> None:
        """Start the agent of the file, and at every login. Raises ServiceError."""
        # Fails without a login at the screen; the next call says so.
        run_tool("launchctl", "enable", self._target, may_fail=True)
        loaded = run_tool("launchctl", "bootstrap", self._domain, str(self.file), may_fail=True)
        if loaded.returncode != 0:
            words = (loaded.stderr.strip() or f"status {loaded.returncode}").splitlines()[0].rstrip(".")
            raise ServiceError(
                f"launchd did not take {self.file}: {words}. Log in at the Mac's screen as this user, and try again."
            )

    def unload(self) -> None:
        """End the agent if it is loaded, and wait for its end. Its file stays. Raises ServiceError."""
        run_tool("launchctl", "bootout", self._target, may_fail=True)
        deadline = time.monotonic() + TOOL_SECONDS
        while self._is_known():
            if time.monotonic() > deadline:
                raise ServiceError(f"launchd did not end {LABEL} within {TOOL_SECONDS:.0f} s.")
            time.sleep(END_PAUSE)

    def forget(self) -> None:
        """Do nothing more after the file is removed."""

    def state(self) -> ServiceState:
        """Ask launchd for the state. Raises ServiceError."""
        said = run_tool("launchctl", "print", self._target, may_fail=True)
        pid, last_exit = _PID.search(said.stdout), _EXIT.search(said.stdout)
        return ServiceState(
            installed=self.file.exists(),
            pid=int(pid[1]) if pid else None,
            last_exit=int(last_exit[1]) if last_exit else None,
            url=self._url(),
        )

    def _is_known(self) -> bool:
        return run_tool("launchctl", "print", self._target, may_fail=True).returncode == 0

    def _url(self) -> str | None:
        try:
            url = plistlib.loads(self.file.read_bytes())["EnvironmentVariables"][URL_VARIABLE]
        except (OSError, plistlib.InvalidFileException, ValueError, KeyError, TypeError):
            return None
        return str(url)


def _properties(definition: ServiceDefinition) -> dict[str, object]:
    return {
        "Label": LABEL,
        "ProgramArguments": [*definition.command, "--quiet"],
        "EnvironmentVariables": dict(definition.environment),
        "WorkingDirectory": str(definition.home),
        "RunAtLoad": True,
        # Started again after a crash, and not after `bootout`, at which the server ends with status 0.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE,
        # launchd's own time before SIGKILL is shorter than answers that are being generated may take.
        "ExitTimeOut": definition.stop_seconds,
        # Other processes of agents run slowed down: their CPU and their disk are throttled.
        "ProcessType": "Interactive",
        "StandardOutPath": str(definition.error_file),
        "StandardErrorPath": str(definition.error_file),
    }
