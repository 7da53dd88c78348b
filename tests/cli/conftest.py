"""Commands in the test's own process."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jobs.configuration.settings import Settings


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner of commands in the test's own data folder."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    return CliRunner()
