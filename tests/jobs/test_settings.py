"""Settings: read from the environment, and refused with the name of their variable."""

from __future__ import annotations

import json

import pytest

from jobs.errors import SettingsError
from jobs.settings import read_settings


@pytest.mark.parametrize("key", ["", "short", "with a space", "schl\u00fcssel-lang", "tab\tin-the-key", 12345678])
def test_a_key_that_does_not_protect_is_refused(monkeypatch: pytest.MonkeyPatch, key: object) -> None:
    """The error names the variable and shows no key. An empty key would open the server to all clients."""
    monkeypatch.setenv("CAPTIONQ_API_KEYS", json.dumps({"laptop": "a-long-secret", "phone": key}))
    with pytest.raises(SettingsError, match="CAPTIONQ_API_KEYS has a value that cannot be used") as refused:
        read_settings()
    assert "a-long-secret" not in refused.value.message
    assert not key or str(key) not in refused.value.message


def test_a_key_of_eight_characters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight is the minimum."""
    monkeypatch.setenv("CAPTIONQ_API_KEYS", '{"laptop": "8-chars!"}')
    assert read_settings().api_keys["laptop"].get_secret_value() == "8-chars!"


def test_a_value_that_cannot_be_read_is_shown_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a list, too, the error names the variable, not the item."""
    monkeypatch.setenv("CAPTIONQ_SLOTS", "many")
    with pytest.raises(SettingsError, match="CAPTIONQ_SLOTS has value 'many'"):
        read_settings()
    monkeypatch.delenv("CAPTIONQ_SLOTS")
    monkeypatch.setenv("CAPTIONQ_ALLOWED_NETWORKS", '["here"]')
    with pytest.raises(SettingsError, match="CAPTIONQ_ALLOWED_NETWORKS has value 'here'"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("CAPTIONQ_API_KEYS", "secret", '{"laptop": '),
        ("CAPTIONQ_SERVED_ROOTS", "/pictures", '["/pictures"]'),
        ("CAPTIONQ_MEMORY_BUDGET", "lots", "24GB"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, way_out: str
) -> None:
    """The message names the variable and shows the right form."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert refused.value.message.startswith(name)
    assert way_out in refused.value.message
