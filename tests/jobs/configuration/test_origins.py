"""The origins whose pages may call the API."""

from __future__ import annotations

import pytest

from jobs.configuration.read_settings import read_settings
from jobs.errors import SettingsError


def test_origins_are_read_as_browsers_send_them() -> None:
    """A browser sends no slash at the end, and small letters."""
    settings = read_settings(allowed_origins=("http://LocalHost:3000/", "app://obsidian.md"))
    assert settings.allowed_origins == ("http://localhost:3000", "app://obsidian.md")


@pytest.mark.parametrize("origin", ["localhost:3000", "http://a/b", "", "http://"])
def test_another_text_is_no_origin(origin: str) -> None:
    """The error names the option, and the shape of an origin."""
    with pytest.raises(SettingsError, match=r"^--allow-origin: .*http://localhost:3000"):
        read_settings(allowed_origins=(origin,))


@pytest.mark.parametrize("origin", ["*", "null"])
def test_every_page_needs_a_key(origin: str) -> None:
    """Without keys, any page of the web could use the model and read the results."""
    with pytest.raises(SettingsError, match="CAPTIONQ_API_KEYS"):
        read_settings(allowed_origins=(origin,))
    assert read_settings(allowed_origins=(origin,), api_keys={"me": "a-long-secret"}).allowed_origins == (origin,)
