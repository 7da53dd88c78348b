"""Lines about the rounds on standard error: the run that begins, and the time that the rest of the rounds takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import click


class RoundLines:
    """The lines of one comparison; `begin` is called before each run."""

    def __init__(self, titles: Mapping[str, str], rounds: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`titles`: of the contestants, for people."""
        self._titles = titles
        self._rounds = rounds
        self._clock = clock
        self._begun = clock()
        self._runs = 0

    def begin(self, number: int, name: str) -> None:
        """Say which run begins. The time left is told after a whole round: contestants differ in speed."""
        line = f"Round {number + 1} of {self._rounds}: {self._titles[name]} …"
        if number > 0:
            each = (self._clock() - self._begun) / self._runs
            left = each * (self._rounds * len(self._titles) - self._runs)
            line += f" (about {timedelta(seconds=max(1, round(left)))} left for the rounds)"
        click.echo(line, err=True)
        self._runs += 1
