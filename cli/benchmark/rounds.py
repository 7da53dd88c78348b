"""Rounds of contestants in turn, and the summary of all rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cli.benchmark.contest import Run, wrong_rows

Outcome = TypeVar("Outcome")


def interleaved(
    contestants: Mapping[str, Callable[[], Outcome]], rounds: int, begin: Callable[[int, str], None]
) -> list[dict[str, Outcome]]:
    """Run every contestant once a round, and call `begin(round, name)` before each.

    Other load on the machine, and its heat, then fall on all alike. Each round begins with another contestant.
    """
    names = list(contestants)
    results = []
    for number in range(rounds):
        turn = number % len(names)
        done: dict[str, Outcome] = {}
        for name in names[turn:] + names[:turn]:
            begin(number, name)
            done[name] = contestants[name]()
        results.append({name: done[name] for name in names})
    return results


def median_of(rounds: Sequence[Mapping[str, Run]], name: str, value: Callable[[Run], float]) -> float:
    """Return a contestant's median over the rounds."""
    return statistics.median(value(one[name]) for one in rounds)


def ratio_of(rounds: Sequence[Mapping[str, Run]], name: str, other: str, value: Callable[[Run], float]) -> float:
    """Return the median of the rounds' ratios: both parts of a ratio were measured side by side."""
    return statistics.median(value(one[name]) / value(one[other]) for one in rounds)


def summarise(rounds: Sequence[Mapping[str, Run]], name: str, other: str) -> dict[str, float]:
    """Return a contestant's medians, and its ratios to another contestant.

    `images_per_second`, `rate_ratio` (more is faster), `cpu_ratio` (CPU seconds an image, less is better), `peak_memory` (bytes
    held by mlx) and `memory_ratio`, `max_rss` (resident bytes of the process) and `rss_ratio`.
    """
    return {
        "images_per_second": median_of(rounds, name, lambda run: run.rate),
        "rate_ratio": ratio_of(rounds, name, other, lambda run: run.rate),
        "cpu_ratio": ratio_of(rounds, name, other, lambda run: run.cpu_seconds),
        "peak_memory": median_of(rounds, name, lambda run: run.peak_memory),
        "memory_ratio": ratio_of(rounds, name, other, lambda run: run.peak_memory),
        "max_rss": median_of(rounds, name, lambda run: run.max_rss),
        "rss_ratio": ratio_of(rounds, name, other, lambda run: run.max_rss),
    }


def all_wrong(rounds: Sequence[Mapping[str, Run]], name: str, expected: Run) -> list[int]:
    """Return the numbers of the images whose answer differs from the expected one in any round."""
    return sorted({number for one in rounds for number in wrong_rows(one[name], expected)})
