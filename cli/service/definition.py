"""The service as both managers see it: its command, environment and limits. `launchd.py` and `systemd.py` write it down."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.configuration.config_file import CONFIG_VARIABLE, config_path
from jobs.configuration.read_settings import variable_of
from jobs.configuration.settings import ENV_PREFIX, SECRET_FIELDS, Settings
from jobs.errors import SettingsError
from jobs.net.url_passwords import without_password

#: Seconds that the server needs to end, beyond the grace for its answers: the goodbye to clients, the worker, the broker.
END_SECONDS = 40
#: Folders of programs. launchd knows only the last four, and exiftool usually comes from Homebrew or MacPorts.
PATH_FOLDERS = "/opt/homebrew/bin:/opt/local/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
#: Variables of other programs that decide where captionq finds its files and its models.
_PASSED_ON = (
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
)
#: Variables of one command that mean nothing to a server.
_OF_A_COMMAND = ("CAPTIONQ_URL", "CAPTIONQ_API_KEY")
#: The variable by which the service's file says where the server answers.
URL_VARIABLE = "CAPTIONQ_URL"
#: Parts of the paths of environments that uvx and `pipx run` make for one command, and remove later. pipx keeps them in its own
#: folder, newer versions among the caches of the system.
_TEMPORARY = re.compile(r"/uv/(archive|builds|environments)-v\d+/|/\.?pipx/\.cache/|/(\.cache|Library/Caches)/pipx/")
_CELLAR = re.compile(r"/Cellar/([^/]+)/[^/]+/")


@dataclass(frozen=True)
class ServiceDefinition:
    """What a service manager starts, and how it ends it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: Seconds between SIGTERM and SIGKILL.
    stop_seconds: int
    #: What the processes print outside of their logs: a traceback at the start. launchd does not rotate the file.
    error_file: Path
    home: Path

    @property
    def url(self) -> str:
        return self.environment[URL_VARIABLE]


def caption_command(settings: Settings) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return the command `captionq`, and the variables that it needs when no shell starts it. Raises SettingsError: a secret."""
    return _program(), _environment(settings)


def define(settings: Settings, serve_options: tuple[str, ...], *, host: str, port: int) -> ServiceDefinition:
    """Make the definition of `captionq serve` with these options. Raises SettingsError for a secret in the environment."""
    return ServiceDefinition(
        command=(*_program(), "serve", *serve_options),
        environment=_environment(settings) | {URL_VARIABLE: local_url(host, port)},
        stop_seconds=math.ceil(settings.grace) + END_SECONDS,
        error_file=error_file(settings),
        home=Path.home(),
    )


def error_file(settings: Settings) -> Path:
    """Return the file for what the service prints outside of its logs."""
    return settings.log_dir / "service.err"


def local_url(host: str, port: int) -> str:
    """Return the address at which this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # nothing is bound here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _program() -> tuple[str, ...]:
    """Return the command `captionq` of this installation, by a path that updates leave as it is. Raises SettingsError."""
    if _TEMPORARY.search(sys.executable):
        raise SettingsError(
            "captionq runs from an environment that uvx or pipx removes later. Install it first: uv tool install captionq"
        )
    script = Path(sys.executable).with_name("captionq")
    if script.exists():
        return (_stable(str(script)),)
    return (_stable(sys.executable), "-P", "-m", "captionq")


def _stable(path: str) -> str:
    """Return Homebrew's path without a version, for a path in its Cellar."""
    return _CELLAR.sub(r"/opt/\1/", path)


def _environment(settings: Settings) -> dict[str, str]:
    """Return the variables that the service needs: managers start it without those of the shell."""
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(ENV_PREFIX)}
    kept = {name: value for name, value in sorted(ours.items()) if name.upper() not in _OF_A_COMMAND}
    kept |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    _refuse_secrets(kept)
    kept |= {name: value for name, value in _whole_paths(settings).items() if name in kept}
    if (config := config_path()) is not None and CONFIG_VARIABLE in os.environ:
        kept[CONFIG_VARIABLE] = str(config)
    return {"PATH": PATH_FOLDERS, **kept, variable_of("data_dir"): str(settings.data_dir)}


def _whole_paths(settings: Settings) -> dict[str, str]:
    """Return the variables that may name files by relative paths, with whole ones: a service has another working folder."""
    lists = {
        "pinned_models": settings.pinned_models,
        "allowed_roots": settings.allowed_roots,
        "served_roots": settings.served_roots,
    }
    named = {variable_of(field): json.dumps([str(path) for path in paths]) for field, paths in lists.items()}
    return {variable_of("model"): settings.model, **named}


def _refuse_secrets(variables: Mapping[str, str]) -> None:
    """Raise SettingsError for a variable with a secret: the service's file is no place for one."""
    secret = {variable_of(field) for field in SECRET_FIELDS}
    for name, value in variables.items():
        if name.upper() in secret or without_password(value) != value:
            raise SettingsError(
                f"{name} holds a secret, which is not written into the service's file. Unset it"
                + (
                    ", and put it into the configuration file: captionq config edit."
                    if name.startswith(ENV_PREFIX)
                    else "."
                )
            )
