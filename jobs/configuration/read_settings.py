"""Reading the settings, once at the start of a process: from `CAPTIONQ_*`, then from the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pydantic_settings
from pydantic import ValidationError

from jobs.configuration.config_file import CONFIG_VARIABLE, config_path, read_table
from jobs.configuration.setting_words import did_you_mean, shape_of, suggestion
from jobs.configuration.settings import ENV_PREFIX, SECRET_FIELDS, Settings
from jobs.errors import SettingsError
from jobs.mounts import use_mounts

#: Variables that are not settings: the configuration file, those of docker-compose.yml, and those of the tests.
_OF_COMPOSE = ("CAPTIONQ_POSTGRES_PASSWORD", "CAPTIONQ_PICTURES", "CAPTIONQ_UID")
_NOT_SETTINGS = (CONFIG_VARIABLE, "CAPTIONQ_URL", "CAPTIONQ_API_KEY", *_OF_COMPOSE)
_OF_TESTS = "CAPTIONQ_TEST_"
#: Options whose names differ from those of their settings.
_OPTIONS = {"allowed_origins": "--allow-origin"}


def variable_of(field: str) -> str:
    """Return the environment variable of a field."""
    return f"{ENV_PREFIX}{field.upper()}"


def unknown_settings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that looks like a setting, and is none: it would be ignored."""
    settings = [variable_of(field) for field in Settings.model_fields]
    ours = [name for name in environment if name.upper().startswith(ENV_PREFIX) and not name.startswith(_OF_TESTS)]
    return [did_you_mean(name, settings) for name in sorted(ours) if name.upper() not in (*settings, *_NOT_SETTINGS)]


def settings_in_file() -> dict[str, Any]:
    """Read the settings of the configuration file. Raises SettingsError for a name that is no setting."""
    table = read_table("settings")
    for name in table:
        if name not in Settings.model_fields:
            close = suggestion(name, Settings.model_fields)
            raise SettingsError(f"{config_path()}: settings.{name} is not a setting{close}.")
    return table


def is_in_environment(field: str) -> bool:
    """Check whether the environment sets a field."""
    return variable_of(field) in {name.upper() for name in os.environ}


def read_settings(**given: Any) -> Settings:
    """Read the settings: the values `given` by options, else those of the environment, else those of the configuration file.

    From then on, addresses of files follow the map of this machine's mounts (`path_map`).

    Raises SettingsError, which names the option of a `given` value, the variable, or the file and the key, and the shape of the
    values that the setting takes.
    """
    in_file = {name: value for name, value in settings_in_file().items() if not is_in_environment(name)}
    try:
        settings = Settings(**{**in_file, **given})
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise SettingsError(f"{first['msg'].removeprefix('Value error, ')}.") from None
        field = str(first["loc"][0])
        reason = first["msg"].removeprefix("Value error, ")
        name = _OPTIONS.get(field, f"--{field.replace('_', '-')}") if field in given else _place_of(field, in_file)
        if first["type"] == "value_error" and reason:
            raise SettingsError(f"{name}: {reason}.") from None
        shown = "" if field in SECRET_FIELDS else f", not {first['input']!r}"
        raise SettingsError(f"{name} must be {shape_of(field, Settings.model_fields[field])}{shown}.") from None
    except pydantic_settings.SettingsError as error:
        # The library's message names the field only: error parsing value for field "api_keys" from source …
        field = str(error).split('"')[1]
        shape = shape_of(field, Settings.model_fields[field])
        raise SettingsError(f"{variable_of(field)} must be {shape}.") from error
    use_mounts(settings.path_map)
    return settings


def _place_of(field: str, in_file: Mapping[str, Any]) -> str:
    return f"{config_path()}: settings.{field}" if field in in_file else variable_of(field)
