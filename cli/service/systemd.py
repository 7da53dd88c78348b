"""The service as a user unit of systemd: its file, and the calls of systemctl."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cli.service.definition import URL_VARIABLE, ServiceDefinition
from cli.service.manager import ServiceState, run_tool
from jobs.errors import ServiceError

UNIT = "captionq.service"
_URL = re.compile(rf'^Environment="{URL_VARIABLE}=([^"]+)"$', re.MULTILINE)
_ESCAPES = {"\\": r"\\", '"': r"\"", "%": "%%"}


class UserUnit:
    """captionq's unit of this user's systemd."""

    name = "systemd"

    def __init__(self, home: Path) -> None:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        self.file = folder / "systemd/user" / UNIT

    def check(self) -> None:
        """Raise ServiceError if this user's systemd cannot be reached."""
        if shutil.which("systemctl") is None:
            raise ServiceError(f"There is no systemd on this machine. {WITHOUT_MANAGER}")
        try:
            run_tool("systemctl", "--user", "show-environment")
        except ServiceError as error:
            raise ServiceError(
                f"This user's systemd cannot be reached. {error.message} Log in as this user, not by su or sudo. "
                f"{WITHOUT_MANAGER}"
            ) from error

    def render(self, definition: ServiceDefinition) -> str:
        """Return the text of the unit."""
        command = " ".join(_word(part).replace("$", "$$") for part in definition.command)
        variables = "\n".join(
            f"Environment={_word(f'{name}={value}')}" for name, value in definition.environment.items()
        )
        return _TEXT.format(command=command, variables=variables, stop_seconds=definition.stop_seconds)

    def load(self, definition: ServiceDefinition) -> None:
        """Start the unit of the file, and at every login. Raises ServiceError."""
        run_tool("systemctl", "--user", "daemon-reload")
        run_tool("systemctl", "--user", "enable", "--quiet", UNIT)
        run_tool("systemctl", "--user", "restart", UNIT)

    def unload(self) -> None:
        """Stop the unit if it runs, and start it no more. Its file stays."""
        run_tool("systemctl", "--user", "disable", "--quiet", "--now", UNIT, may_fail=True)

    def forget(self) -> None:
        """Let systemd see that the file is gone. Raises ServiceError."""
        run_tool("systemctl", "--user", "daemon-reload")

    def state(self) -> ServiceState:
        """Ask systemd for the state. Raises ServiceError."""
        shown = run_tool(
            "systemctl", "--user", "show", UNIT, "--property", "MainPID,ExecMainStatus,ExecMainExitTimestamp"
        )
        values = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
        return ServiceState(
            installed=self.file.exists(),
            pid=int(values.get("MainPID") or 0) or None,
            last_exit=int(values.get("ExecMainStatus") or 0) if values.get("ExecMainExitTimestamp") else None,
            url=self._url(),
        )

    def _url(self) -> str | None:
        try:
            found = _URL.search(self.file.read_text())
        except OSError:
            return None
        return found[1] if found else None


#: The way out on machines without a manager.
WITHOUT_MANAGER = "Run captionq serve under a supervisor of your own: it ends in order at SIGTERM."

# KillMode: SIGTERM to all processes would end the broker before the answers.
_TEXT = """\
[Unit]
Description=captionq: captions and answers over HTTP

[Service]
Type=exec
ExecStart={command}
{variables}
WorkingDirectory=%h
KillMode=mixed
TimeoutStopSec={stop_seconds}
Restart=on-failure
RestartSec=5
NoNewPrivileges=true

[Install]
WantedBy=default.target
"""


def _word(text: str) -> str:
    """Quote a word of a unit file. Characters that steer its syntax are escaped, control characters too."""
    escaped = "".join(_ESCAPES.get(one) or (f"\\x{ord(one):02x}" if ord(one) < 0x20 else one) for one in text)
    return f'"{escaped}"'
