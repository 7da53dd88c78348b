"""Reasons for which a worker takes no bulk jobs for now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class BulkWait(NamedTuple):
    """One reason for which bulk jobs wait."""

    #: `outside_hours`, `low_battery`, `too_hot` or `little_memory`.
    code: str
    #: The rest of "Bulk work waits …", with the setting that decides it.
    words: str
    #: When the reason ends, in seconds since the epoch; None: not known.
    until: float | None = None


def words_of(waits: Sequence[BulkWait]) -> str:
    """Return all reasons as the rest of "Bulk work waits …"; empty: there are none."""
    return " and ".join(wait.words for wait in waits)
