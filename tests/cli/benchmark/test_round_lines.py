"""The lines about the rounds of a benchmark."""

from __future__ import annotations

import pytest

from cli.benchmark.round_lines import RoundLines
from cli.benchmark.rounds import interleaved


def test_after_a_whole_round_the_time_left_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A round of a run of 60 s and one of 20 s: the estimate is of both, not of the slower one alone."""
    now = 0.0

    def run(seconds: float) -> None:
        nonlocal now
        now += seconds

    lines = RoundLines({"a": "loop", "b": "captionq"}, 2, clock=lambda: now)
    interleaved({"a": lambda: run(60), "b": lambda: run(20)}, 2, lines.begin)
    assert capsys.readouterr().err.splitlines() == [
        "Round 1 of 2: loop …",
        "Round 1 of 2: captionq …",
        "Round 2 of 2: captionq … (about 0:01:20 left for the rounds)",
        "Round 2 of 2: loop … (about 0:00:33 left for the rounds)",
    ]
