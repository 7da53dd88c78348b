"""Installing the service, and waiting until its server answers."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import httpx2

from cli.service.definition import ServiceDefinition, error_file
from cli.service.launchd import LaunchAgent
from cli.service.log_tail import last_lines
from cli.service.manager import ServiceManager
from cli.service.systemd import WITHOUT_MANAGER, UserUnit
from jobs.configuration.settings import Settings
from jobs.errors import ServiceError, SettingsError

#: Seconds that a server may take to its first answer: a first start changes the tables of an older version.
START_SECONDS = 120.0
ANSWER_SECONDS = 2.0
_LOOK_EVERY = 0.2
#: `sys.platform` by the names that people type.
PLATFORMS = {"macos": "darwin", "linux": "linux"}


def manager_of(platform: str = sys.platform) -> ServiceManager:
    """Return the manager of services of a platform, by default this one's. Raises ServiceError if it has none."""
    if platform == "darwin":
        return LaunchAgent(Path.home())
    if platform == "linux":
        return UserUnit(Path.home())
    raise ServiceError(f"captionq knows launchd and systemd, and {platform} has neither. {WITHOUT_MANAGER}")


def install(
    manager: ServiceManager, definition: ServiceDefinition, settings: Settings, address: tuple[str, int]
) -> None:
    """Install and start the service, in place of an older one. Raises ServiceError, SettingsError."""
    manager.check()
    content = manager.render(definition)
    settings.make_folders()
    manager.unload()
    _check_free(*address)
    manager.file.parent.mkdir(parents=True, exist_ok=True)
    manager.file.write_text(content)
    # launchd refuses a file that others can write, whatever the umask is.
    manager.file.chmod(0o644)
    try:
        manager.load(definition)
    except ServiceError:
        manager.file.unlink()
        raise
    _wait_for_answer(manager, definition, settings)


def uninstall(manager: ServiceManager) -> bool:
    """End the service and remove its file; return whether there was one. Data and texts stay. Raises ServiceError."""
    manager.check()
    if not manager.file.exists():
        return False
    manager.unload()
    manager.file.unlink()
    manager.forget()
    return True


def answers(url: str) -> bool:
    """Return whether a captionq server answers at this address."""
    try:
        # Without a proxy: the server is at this machine.
        with httpx2.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
            found = client.get(f"{url}/healthz")
        return found.status_code == 200 and bool(found.json() == {"status": "ok"})
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return False


def _check_free(host: str, port: int) -> None:
    """Raise SettingsError if another program listens at the address. The service would be started again and again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be used ({error.strerror}). Stop the captionq serve that runs there, or choose another "
                "--port."
            ) from error


def _wait_for_answer(manager: ServiceManager, definition: ServiceDefinition, settings: Settings) -> None:
    """Wait until the server answers. Raises ServiceError with its last words."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(definition.url):
        state = manager.state()
        if (state.pid is None and state.last_exit) or time.monotonic() > deadline:
            words = last_lines(error_file(settings), 1) or last_lines(settings.log_dir / "serve.log", 1)
            raise ServiceError(
                f"The service was installed, but does not answer at {definition.url}. {' '.join(words)} "
                "See: captionq service logs. Remove it with: captionq service uninstall"
            )
        time.sleep(_LOOK_EVERY)
