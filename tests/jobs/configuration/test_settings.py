"""Settings: read from the environment, and refused with the name of their variable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.configuration.model_settings import BUILT_IN
from jobs.configuration.read_settings import read_settings, unknown_settings
from jobs.configuration.setting_words import shape_of
from jobs.configuration.settings import Settings
from jobs.errors import SettingsError
from jobs.models.adapters import with_adapter
from jobs.models.model_info import STUB, built_in_models, is_here
from jobs.objects.paths import object_path


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


def test_local_models_are_named_by_their_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job names its model as the settings do, and may run in a process with another working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "pinned", *BUILT_IN):
        Path(name).mkdir()
    monkeypatch.setenv("CAPTIONQ_MODEL", "./mine")
    settings = read_settings(pinned_models=("pinned", "owner/name", "demo"))
    assert settings.model == str(tmp_path / "mine")
    assert settings.pinned_models == (str(tmp_path / "pinned"), "owner/name", "demo")
    assert {*built_in_models(), STUB} == BUILT_IN


@pytest.mark.parametrize("name", ["x" * 300, f"owner/{'x' * 300}", "~unknown-user/model"])
def test_a_name_that_no_folder_can_have_is_a_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The commands that need no model work on, and the others say that there is no such model."""
    monkeypatch.setenv("CAPTIONQ_MODEL", name)
    assert read_settings(pinned_models=(name,)).model == name
    assert not is_here(name)
    assert not is_here(with_adapter("demo", name))


def test_roots_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shell expands it in a configuration file. Prefixes of buckets stay as they are."""
    config = tmp_path / "config.toml"
    config.write_text('[settings]\nserved_roots = ["~/Pictures", "s3://holiday/2024"]\nallowed_roots = ["~"]\n')
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = read_settings()
    assert settings.served_roots == (tmp_path / "Pictures", object_path("s3://holiday/2024"))
    assert settings.allowed_roots == (tmp_path,)


def test_the_home_of_an_unknown_user_is_a_name_like_any_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`~nobody-here` may be a folder's name, and is no reason for a stack of Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", "~nobody-here/data")
    assert read_settings().data_dir == tmp_path / "~nobody-here" / "data"


def test_roots_do_not_follow_a_change_of_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative root is one of the folder in which the process began."""
    monkeypatch.chdir(tmp_path)
    assert Settings(served_roots=(Path("pictures"),)).served_roots == (tmp_path / "pictures",)


@pytest.mark.parametrize("field", ["data_dir", "database_url", "redis_url", "model"])
def test_a_blank_text_is_no_setting(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """A data folder without a name would be the working folder, and a broker without an address would never answer."""
    monkeypatch.delenv(f"CAPTIONQ_{field.upper()}", raising=False)
    default = getattr(read_settings(), field)
    for blank in ("", " "):
        monkeypatch.setenv(f"CAPTIONQ_{field.upper()}", blank)
        assert getattr(read_settings(), field) == default
