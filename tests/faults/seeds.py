"""The size of the runs: short seeds in the gate, all of them by `make sweep`."""

from __future__ import annotations

import os

#: Whether to run everything.
LONG = os.environ.get("CAPTIONQ_TEST_FAULTS") == "all"
#: Number of schedules of the simulation.
SCHEDULES = int(os.environ.get("CAPTIONQ_TEST_SCHEDULES", "1000" if LONG else "12"))
#: The distance between two changes of files that meet a fault: 1 tries each.
EVERY = int(os.environ.get("CAPTIONQ_TEST_EVERY", "1"))
