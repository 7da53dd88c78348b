"""Settings: read from the environment, and refused with the name of their variable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.configuration.read_settings import read_settings, unknown_settings
from jobs.configuration.setting_words import shape_of
from jobs.configuration.settings import Settings
from jobs.errors import SettingsError


@pytest.mark.parametrize("key", ["", "short", "with a space", "schl\u00fcssel-lang", "tab\tin-the-key", 12345678])
def test_a_key_that_does_not_protect_is_refused(monkeypatch: pytest.MonkeyPatch, key: object) -> None:
    """The error names the variable and shows no key. An empty key would open the server to all clients."""
    monkeypatch.setenv("CAPTIONQ_API_KEYS", json.dumps({"laptop": "another-secret", "phone": key}))
    with pytest.raises(SettingsError, match=r"^CAPTIONQ_API_KEYS") as refused:
        read_settings()
    assert "another-secret" not in refused.value.message
    assert not key or str(key) not in refused.value.message


def test_a_key_of_eight_characters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight is the minimum."""
    monkeypatch.setenv("CAPTIONQ_API_KEYS", '{"laptop": "8-chars!"}')
    assert read_settings().api_keys["laptop"].get_secret_value() == "8-chars!"


def test_an_admin_has_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no key's would be a right for nobody, or, without keys, a protection that there is not."""
    monkeypatch.setenv("CAPTIONQ_ADMIN_KEYS", '["laptop", "phone"]')
    with pytest.raises(SettingsError, match="'laptop', which is no name of CAPTIONQ_API_KEYS"):
        read_settings()
    monkeypatch.setenv("CAPTIONQ_API_KEYS", '{"laptop": "8-chars!"}')
    with pytest.raises(SettingsError, match="'phone', which is no name of CAPTIONQ_API_KEYS"):
        read_settings()
    monkeypatch.setenv("CAPTIONQ_ADMIN_KEYS", '["laptop"]')
    assert read_settings().admin_keys == ("laptop",)


def test_a_value_that_cannot_be_read_is_shown_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a list, too, the error names the variable, not the item."""
    monkeypatch.setenv("CAPTIONQ_SLOTS", "many")
    with pytest.raises(
        SettingsError, match="CAPTIONQ_SLOTS must be a whole number of at least 1 and at most 256, not 'many'"
    ):
        read_settings()
    monkeypatch.delenv("CAPTIONQ_SLOTS")
    monkeypatch.setenv("CAPTIONQ_ALLOWED_NETWORKS", '["here"]')
    with pytest.raises(
        SettingsError, match=r"CAPTIONQ_ALLOWED_NETWORKS must be a JSON list of networks .*, not 'here'"
    ):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("CAPTIONQ_API_KEYS", "secret", 'must be a JSON object such as {"laptop": "a-long-secret"}.'),
        ("CAPTIONQ_API_KEYS", '["a-long-secret"]', 'must be a JSON object such as {"laptop": "a-long-secret"}.'),
        ("CAPTIONQ_JPEG_DRAFT", "perhaps", "must be true or false"),
        ("CAPTIONQ_SYNC_DEADLINE", "600", "must be a number of more than 0 and less than 600"),
        ("CAPTIONQ_MAX_PROMPT_TOKENS", "", "must be a whole number of at least 1, not ''"),
        ("CAPTIONQ_SERVED_ROOTS", "/pictures", '["/pictures"]'),
        ("CAPTIONQ_MEMORY_BUDGET", "lots", "24GB"),
        ("CAPTIONQ_MEMORY_BUDGET", "24", "24GB"),
        ("CAPTIONQ_MEMORY_BUDGET", "120%", "24GB"),
        ("CAPTIONQ_MEMORY_BUDGET", "0", "24GB"),
        ("CAPTIONQ_ALLOWED_ROOTS", '[""]', '["/pictures"]'),
        ("CAPTIONQ_SERVED_ROOTS", '["/pictures", ""]', '["/pictures"]'),
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


@pytest.mark.parametrize(
    "url", ["captionq.db", "mysql://u:secret@h/d", "postgres://u:secret@h/d", "postgresql://u:sec/ret@h/d", "sqlite://"]
)
def test_an_address_of_no_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The form is shown: the address may have a password."""
    monkeypatch.setenv("CAPTIONQ_DATABASE_URL", url)
    with pytest.raises(
        SettingsError, match=r"^CAPTIONQ_DATABASE_URL: write postgresql\+psycopg://user@host"
    ) as refused:
        read_settings()
    assert "sec" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["sqlite:////data/captionq.db", "postgresql+psycopg://u:s%2Fecret@[::1]:5432/d", "postgresql:///d?host=/run"]
)
def test_an_address_of_a_database_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A file, a server, a socket."""
    monkeypatch.setenv("CAPTIONQ_DATABASE_URL", url)
    assert read_settings().database == url


def test_an_empty_variable_takes_a_setting_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder is not the current one, and an empty address is no address."""
    monkeypatch.delenv("CAPTIONQ_DATA_DIR", raising=False)
    default = read_settings()
    for field in ("data_dir", "database_url", "redis_url", "blob_url", "model", "hours"):
        monkeypatch.setenv(f"CAPTIONQ_{field.upper()}", "")
    assert read_settings() == default


def test_folders_that_may_be_read_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A JSON list stands in quotes, where no shell replaces the tilde; a place in S3 stays as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ALLOWED_ROOTS", "SERVED_ROOTS"):
        monkeypatch.setenv(f"CAPTIONQ_{name}", '["~/Pictures", "s3://holiday/2024"]')
    settings = read_settings()
    assert settings.allowed_roots == settings.served_roots == (tmp_path / "Pictures", Path("s3://holiday/2024"))


def test_a_value_from_an_option_is_refused_by_the_option() -> None:
    """The user set no variable, so none is named."""
    with pytest.raises(SettingsError, match=r"^--memory-budget must be a share .* not 'lots'"):
        read_settings(memory_budget="lots")


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_a_shape(field: str) -> None:
    """Text is the shape of paths, addresses and names only."""
    text = shape_of(field, Settings.model_fields[field]) == "text"
    assert text == (field in ("data_dir", "database_url", "redis_url", "model", "webhook_secret"))


def test_a_mistyped_variable_is_noticed() -> None:
    """Every setting, in any case, is known, and so are the variables of Compose and of the tests."""
    known = {f"CAPTIONQ_{field.upper()}": "" for field in Settings.model_fields}
    known |= {"CAPTIONQ_UID": "1", "CAPTIONQ_TEST_KILLPOINTS": "x", "captionq_slots": "3", "_CAPTIONQ_COMPLETE": "x"}
    assert unknown_settings(known) == []
    assert unknown_settings({"CAPTIONQ_SLOT": "3", "CAPTIONQ_COFFEE": "1"}) == [
        "CAPTIONQ_COFFEE is not a setting.",
        "CAPTIONQ_SLOT is not a setting; did you mean CAPTIONQ_SLOTS?",
    ]
