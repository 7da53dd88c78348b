"""Fixtures of the tests of images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.configuration.settings import Settings


@pytest.fixture
def nothing_half_written(settings: Settings) -> Iterator[None]:
    """Check after a test that no blob is half written."""
    yield
    assert not list(settings.blob_dir.glob("new-*"))
