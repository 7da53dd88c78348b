"""The size of the runs: short seeds in the gate, all of them by `make sweep`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

#: Whether to run everything.
LONG = os.environ.get("CAPTIONQ_TEST_FAULTS") == "all"
#: The part of a sweep that this run tries, and the number of parts: `3/8` is the third of eight.
PART, PARTS = map(int, os.environ.get("CAPTIONQ_TEST_SHARD", "1/1").split("/"))
#: Number of schedules of the simulation, and their seeds: this run's part of them, or the one that is to be repeated.
SCHEDULES = int(os.environ.get("CAPTIONQ_TEST_SCHEDULES", "20000" if LONG else "150"))
_SEED = os.environ.get("CAPTIONQ_TEST_SEED")
SEEDS = range(PART - 1, SCHEDULES, PARTS) if _SEED is None else range(int(_SEED), int(_SEED) + 1)
#: The distance between two changes of files that meet a fault: 1 tries each.
EVERY = int(os.environ.get("CAPTIONQ_TEST_EVERY", "1"))
Item = TypeVar("Item")


def of_this_part(items: Iterable[Item]) -> list[Item]:
    """Return the items of a sweep that belong to this run's part of it: all parts together have each item once."""
    return list(islice(items, PART - 1, None, PARTS))
