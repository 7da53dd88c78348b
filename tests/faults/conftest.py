"""Failed checks of the harness show their values, as those of tests do. A sweep says at its end how many faults there were."""

from __future__ import annotations

import pytest

from tests.faults.seeds import LONG
from tests.faults.tally import summary

pytest.register_assert_rewrite(
    "tests.faults.life_checks",
    "tests.faults.history",
    "tests.faults.chaos.run",
    "tests.faults.simulation.events",
    "tests.faults.simulation.job_model",
    "tests.faults.simulation.simulation",
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults a sweep made."""
    if LONG:
        for line in summary([*terminalreporter.getreports(""), *terminalreporter.getreports("error")]):
            terminalreporter.write_line(line)
