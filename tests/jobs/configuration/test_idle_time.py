"""Lengths of time in the words of Ollama."""

from __future__ import annotations

import math

import pytest

from jobs.configuration.read_settings import read_settings
from jobs.configuration.settings import Settings
from jobs.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("90", 90),
        (91, 91),
        ("0", 0),
        ("0s", 0),
        ("-1", math.inf),
        ("-1m", math.inf),
        (-2, math.inf),
    ],
)
def test_a_length_of_time_is_read(text: str | float, seconds: float) -> None:
    """A number, which a configuration file may have, is seconds."""
    assert Settings.model_validate({"keep_alive": text}).keep_alive_seconds == seconds


@pytest.mark.parametrize("text", ["", "an hour", "5 days", "1h-5m", "nan", "m"])
def test_another_text_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The error names the variable and the form."""
    monkeypatch.setenv("CAPTIONQ_KEEP_ALIVE", text)
    with pytest.raises(SettingsError, match=r"^CAPTIONQ_KEEP_ALIVE: .*30m"):
        read_settings()
