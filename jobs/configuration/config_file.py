"""The user's configuration file: a TOML file with the tables `[settings]` and `[presets.NAME]`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from jobs.configuration.setting_words import suggestion
from jobs.errors import SettingsError

#: The variable that names another file; empty: no file.
CONFIG_VARIABLE = "CAPTIONQ_CONFIG"
_TABLES = ("settings", "presets")

Table = dict[str, Any]


def config_path() -> Path | None:
    """Return the path of the configuration file, whether the file exists or not; None: the user wants none."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named == "":
        return None
    if named is not None:
        return Path(named).expanduser().absolute()
    return platformdirs.user_config_path("captionq", appauthor=False) / "config.toml"


def read_table(name: str) -> Table:
    """Read a table of the configuration file, empty if there is none. Raises SettingsError, which names the file."""
    path = config_path()
    if path is None:
        return {}
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if CONFIG_VARIABLE in os.environ:
            raise SettingsError(f"{path} does not exist ({CONFIG_VARIABLE}).") from None
        return {}
    except OSError as error:
        if CONFIG_VARIABLE not in os.environ and not os.access(path.parent, os.X_OK):
            # The user's own folder is closed to a service's account: no file of the account can be there.
            return {}
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    table: Table = parse_config(content, path).get(name, {})
    return table


def parse_config(content: bytes, path: Path) -> dict[str, Table]:
    """Parse the content of a configuration file. `path`: its name in errors. Raises SettingsError."""
    try:
        tables = tomllib.loads(content.decode())
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    for name, table in tables.items():
        if name not in _TABLES and not isinstance(table, dict):
            raise SettingsError(f"{path}: {name} stands in no table. Write it below [settings].")
        if name not in _TABLES:
            raise SettingsError(f"{path}: {name} is not a table of this file{suggestion(name, _TABLES)}.")
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {name} must be a table. Begin it with [{name}].")
    return tables
