"""Contestants in turn, several times over, and what the rounds say together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cli.benchmark.contest import Run, wrong_rows

Outcome = TypeVar("Outcome")


def interleaved(
    contestants: Mapping[str, Callable[[], Outcome]], rounds: int, begin: Callable[[int, str], None]
) -> list[dict[str, Outcome]]:
    """Every contestant once a round; `begin(round, name)` is told before each.

    What else the machine does meanwhile, and its heat, fall on all alike. Each round begins with another contestant.
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
    """A contestant's median over the rounds."""
    return statistics.median(value(one[name]) for one in rounds)


def ratio_of(rounds: Sequence[Mapping[str, Run]], name: str, other: str, value: Callable[[Run], float]) -> float:
    """The median of the rounds' ratios: both parts of each were measured side by side."""
    return statistics.median(value(one[name]) / value(one[other]) for one in rounds)


def summarise(rounds: Sequence[Mapping[str, Run]], name: str, other: str) -> dict[str, float]:
    """A contestant in numbers: medians, and ratios to another one.

    `images_per_second`, `rate_ratio` (more is faster), `cpu_ratio` (CPU seconds an image, less is better), `peak_memory` in
    bytes and `memory_ratio` of what mlx held, `max_rss` in bytes and `rss_ratio` of what the process had resident.
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
    """The images for which any round's answer is not the expected one."""
    return sorted({number for one in rounds for number in wrong_rows(one[name], expected)})
