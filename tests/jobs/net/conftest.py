"""Fixtures of tests that download."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.configuration.settings import Settings


@pytest.fixture
def download_settings(tmp_path: Path) -> Settings:
    """Settings that allow the servers of these tests, with a low limit on an image's size."""
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            # Both networks, because a name of this machine may lead to both.
            "allowed_networks": ("127.0.0.1/32", "::1/128"),
            "fetch_seconds": 60.0,
            "max_image_bytes": 100_000,
        }
    )
