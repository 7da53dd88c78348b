"""The slope that the soak reports finds a leak, and does not find one in noise."""

from __future__ import annotations

import numpy as np

from tests.faults.soak.measurement import Series
from tests.faults.soak.report import growth, what_grows
from tests.faults.soak.trend import trend


def test_a_leak_is_found_and_a_wave_is_not() -> None:
    """In 100 series of slow waves the interval holds the true growth nearly always, and excludes 0 if something leaks."""
    dice, hours = np.random.default_rng(1), np.arange(600) / 600
    held = found = 0
    for _ in range(100):
        # Each value resembles the one before, as a process's memory does.
        noise, shock = np.zeros(600), dice.normal(size=600)
        for place in range(1, 600):
            noise[place] = 0.8 * noise[place - 1] + shock[place]
        flat, leak = trend(hours, 100 + noise), trend(hours, 100 + noise + 5 * hours)
        held += flat.low <= 0 <= flat.high
        found += leak.low > 0
        assert abs(leak.per_hour - flat.per_hour - 5) < 1e-6
    assert held >= 85
    assert found >= 95


def test_what_grows_is_named() -> None:
    """A leak is, and neither a wave nor the machine's load is."""
    at = [float(second) for second in range(0, 3600, 5)]
    series = {
        "worker, memory (MB)": Series(at, [200 + second / 60 for second in at]),
        "server, descriptors": Series(at, [40 + (second // 60) % 2 for second in at]),
        "machine, load average": Series(at, at),
    }
    assert what_grows(growth(series, 0.0, 1800.0)) == ["worker, memory (MB)"]
