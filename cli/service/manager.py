"""The manager of services of a platform: launchd or systemd, behind one face."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cli.service.definition import ServiceDefinition
from jobs.errors import ServiceError

#: Seconds for one call of a manager's tool. Stopping a server takes its grace.
TOOL_SECONDS = 180.0


@dataclass(frozen=True)
class ServiceState:
    """The state of the service."""

    installed: bool
    #: None: it is not running.
    pid: int | None
    #: The status with which it ended last; None: unknown.
    last_exit: int | None
    #: The address at which its server answers; None: unknown.
    url: str | None


class ServiceManager(Protocol):
    """A manager of services of one user."""

    name: str
    #: The file that defines the service.
    file: Path

    def check(self) -> None:
        """Raise ServiceError if no service can be managed from here."""

    def render(self, definition: ServiceDefinition) -> str:
        """Return the content of the file."""

    def load(self, definition: ServiceDefinition) -> None:
        """Start the service of the file, and at every login. Raises ServiceError."""

    def unload(self) -> None:
        """End the service if it runs. Raises ServiceError."""

    def forget(self) -> None:
        """Complete the removal, after the file is gone. Raises ServiceError."""

    def state(self) -> ServiceState:
        """Ask for the state. Raises ServiceError."""


def run_tool(*command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a manager's tool. Raises ServiceError, unless the tool `may_fail`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)
    except OSError as error:
        raise ServiceError(f"{command[0]} cannot be run: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{' '.join(command)} did not end within {TOOL_SECONDS:.0f} s.") from error
    if done.returncode != 0 and not may_fail:
        words = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[0]
        raise ServiceError(f"{' '.join(command)}: {words.rstrip('.')}.")
    return done
