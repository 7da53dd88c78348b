"""The sample of a run: some images are captioned and shown first, and a person decides about the others."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import TypeVar

import click

from cli.output.plurals import counted
from cli.output.report import Report
from jobs.creation.chosen_images import evenly_spaced
from jobs.store.tables import Job

T = TypeVar("T")


@dataclass
class Acceptance:
    """The answer of the person who has seen a sample."""

    #: None: nothing was asked.
    given: bool | None = None


@dataclass(frozen=True)
class SampleOptions:
    """The options of a terminal for a sample."""

    #: Images of the sample; None: the run has no sample.
    size: int | None = None
    #: Go on without asking.
    assume_yes: bool = False
    #: The consequence of a yes beside the captions: " and …".
    consequence: str = ""
    #: Gets the answer to the question after the sample.
    acceptance: Acceptance = field(default_factory=Acceptance)


def stages(
    parts: Iterable[list[T]], options: SampleOptions, sampled: Callable[[], Sequence[Job]], report: Report
) -> Iterator[Iterable[list[T]]]:
    """Yield the sample, then the other images if they are wanted; without a sample all images as they come.

    Args:
        parts: of the images of the run.
        options: of the sample.
        sampled: returns the jobs of the sample, which have ended when the next stage is asked for.
        report: shows the sample.
    """
    if options.size is None:
        yield parts
        return
    sample, others = evenly_spaced(list(chain.from_iterable(parts)), options.size)
    yield [sample]
    report.sample(sampled())
    if not others:
        return
    _estimate(len(others), len(sample), report)
    action = f"go on with the other {counted(len(others), 'image')}{options.consequence}"
    declined = "The texts of the sample are kept. To go on later, run the command again without --sample."
    options.acceptance.given = options.assume_yes or confirmed(action, report, declined=declined)
    if options.acceptance.given:
        yield [others]


def _estimate(others: int, sampled: int, report: Report) -> None:
    """Say how long the other images will take at the speed of the sample."""
    if report.worked_seconds > 0:
        seconds = max(1, round(report.worked_seconds / sampled * others))
        end = time.strftime("%H:%M", time.localtime(time.time() + seconds))
        report.note(f"The other {counted(others, 'image')} will take about {timedelta(seconds=seconds)}, until {end}.")


def confirmed(action: str, report: Report, *, declined: str) -> bool:
    """Ask the person at the terminal who has seen a sample whether to do something. `declined`: is said after a no."""
    if not sys.stdin.isatty():
        report.note(f"Stopped after the sample, for there is no terminal to ask. To {action}, add --yes.")
        return False
    try:
        if click.confirm(f"{action[0].upper()}{action[1:]}?", err=True):
            return True
    except click.Abort:
        report.note("")
    report.note(declined)
    return False
