"""Fixtures of tests that run whole processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.configuration.settings import Settings
from tests.support.known_models import know_built_in_models
from tests.support.processes import Captionq


@pytest.fixture
def captionq(settings: Settings) -> Iterator[Captionq]:
    """The command, in a data folder of the test's own; its processes end with the test."""
    captionq = Captionq(settings)
    know_built_in_models(settings)
    yield captionq
    captionq.kill_all()
