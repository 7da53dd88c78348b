"""The output of a command that runs in the test's own process."""

from __future__ import annotations

from click.testing import Result


def output(result: Result) -> str:
    """Return the output of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return result.output
