"""The settings in effect, and the place that each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from jobs.configuration.config_file import config_path
from jobs.configuration.read_settings import is_in_environment, read_settings, settings_in_file, variable_of
from jobs.configuration.settings import SECRET_FIELDS
from jobs.net.url_passwords import MASK, without_password
from jobs.safe_text import safe_text


@dataclass(frozen=True)
class EffectiveSetting:
    """A setting for the eyes of its user."""

    name: str
    #: As JSON has it, without secrets.
    value: object
    source: str


def effective_settings() -> list[EffectiveSetting]:
    """Return all settings, in the order of their documentation. Raises SettingsError."""
    in_file = settings_in_file()
    values = read_settings().model_dump(mode="json")
    return [
        EffectiveSetting(name, _masked(name, value), _source(name, in_file=name in in_file))
        for name, value in values.items()
    ]


def print_settings(settings: Sequence[EffectiveSetting]) -> None:
    """Print a line for each setting: name, value, source."""
    names = max(len(one.name) for one in settings)
    for one in settings:
        click.echo(safe_text(f"{one.name:<{names}}  {_shown(one.value)}  ({one.source})"))


def _source(name: str, *, in_file: bool) -> str:
    if is_in_environment(name):
        return variable_of(name)
    return str(config_path()) if in_file else "default"


def _masked(name: str, value: object) -> object:
    if name in SECRET_FIELDS:
        return dict.fromkeys(value, MASK) if isinstance(value, dict) else value and MASK
    return without_password(value) if isinstance(value, str) and "://" in value else value


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items()) or "-"
    return str(value)
