"""Completion windows."""

from __future__ import annotations

import pytest

from jobs.batches.completion_window import window_seconds
from jobs.errors import InvalidRequestError


@pytest.mark.parametrize(("window", "seconds"), [("24h", 86_400), ("7d", 604_800), ("30m", 1800), ("90S", 90)])
def test_a_window_is_a_time(window: str, seconds: float) -> None:
    """Units are seconds, minutes, hours, days and weeks."""
    assert window_seconds(window) == seconds


@pytest.mark.parametrize("window", ["", "h", "0h", "24", "-1h", "soon", "1.5h", "9999999999h"])
def test_other_texts_are_refused(window: str) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequestError, match="completion_window"):
        window_seconds(window)
