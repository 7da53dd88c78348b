"""Workers in the test's own process."""

from __future__ import annotations

import pytest

from tests.support.own_signals import own_signals

_own_signals = pytest.fixture(autouse=True)(own_signals)
