"""The sample of a run: some images are captioned and shown first, and a person decides about the others."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import click

from cli.output.plurals import counted
from cli.output.report import Report
from jobs.creation.chosen_images import evenly_spaced
from jobs.store.tables import Job

T = TypeVar("T")


@dataclass(frozen=True)
class SampleOptions:
    """The options of a terminal for a sample."""

    #: Images of the sample; None: the run has no sample.
    size: int | None = None
    #: Go on without asking.
    assume_yes: bool = False


def parts(
    wanted: list[T], options: SampleOptions, sampled: Callable[[], Sequence[Job]], report: Report
) -> Iterator[list[T]]:
    """Yield the sample, then the other images if they are wanted; without a sample all images at once.

    Args:
        wanted: the images of the run.
        options: of the sample.
        sampled: returns the jobs of the sample, which have ended when the next part is asked for.
        report: shows the sample.
    """
    if options.size is None:
        yield wanted
        return
    sample, others = evenly_spaced(wanted, options.size)
    yield sample
    report.sample(sampled())
    if not others:
        return
    _estimate(len(others), len(sample), report)
    if options.assume_yes or _goes_on(len(others), report):
        yield others


def _estimate(others: int, sampled: int, report: Report) -> None:
    """Say how long the other images will take at the speed of the sample."""
    if report.worked_seconds > 0:
        seconds = max(1, round(report.worked_seconds / sampled * others))
        end = time.strftime("%H:%M", time.localtime(time.time() + seconds))
        report.note(f"The other {counted(others, 'image')} will take about {timedelta(seconds=seconds)}, until {end}.")


def _goes_on(others: int, report: Report) -> bool:
    if not sys.stdin.isatty():
        report.note(
            f"Stopped after the sample, for there is no terminal to ask. To go on with the other {counted(others, 'image')}, "
            "add --yes."
        )
        return False
    try:
        if click.confirm(f"Go on with the other {counted(others, 'image')}?", err=True):
            return True
    except click.Abort:
        report.note("")
    report.note("The texts of the sample are kept. To go on later, run the command again without --sample.")
    return False
