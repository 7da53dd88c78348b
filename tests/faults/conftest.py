"""Failed checks of the harness show their values, as those of tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.faults.life_checks",
    "tests.faults.history",
    "tests.faults.chaos.run",
    "tests.faults.simulation.events",
    "tests.faults.simulation.job_model",
    "tests.faults.simulation.simulation",
)
