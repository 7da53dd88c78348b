"""Answers that need a person, on the terminal: the reasons, a list, and one answer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import click

from cli.output.doubtful_answers import CUT_OFF, REASONS
from cli.output.job_fields import name_of, reason_of, with_question
from cli.output.tables.job_table import print_table
from jobs.safe_text import safe_json, safe_text
from jobs.store.tables import Job, JobStatus

_HEADINGS = ("job", "image", "reason", "answer")


def review_reason(job: Job) -> str:
    """Say why a person should look at the answer."""
    if job.status == JobStatus.FAILED:
        return reason_of(job)
    if job.quality == CUT_OFF:
        return f"its answer was cut off at {job.completion_tokens} tokens"
    return REASONS.get(job.quality or "", job.quality or "")


def print_reviews(jobs: Sequence[Job]) -> None:
    """Print a row for each answer; without a terminal uncut, with tabs between the cells."""
    rows = [
        (job.id, safe_text(name_of(job)), safe_text(review_reason(job)), safe_text(" ".join((job.text or "").split())))
        for job in jobs
    ]
    print_table(_HEADINGS, rows, [None] * len(rows), ratios=(None, 2, 2, 3))


def print_reviews_as_json(jobs: Sequence[Job]) -> None:
    """Print an object for each answer."""
    for job in jobs:
        click.echo(safe_json({**with_question(job), "reason": review_reason(job)}))


def print_review(job: Job, position: str) -> None:
    """Print one answer with its image and the reason. `position`: such as `2 of 7`."""
    path = name_of(job)
    name = PurePath(path).name
    click.echo(f"\n{position}  {safe_text(name)}{f'  ({safe_text(path)})' if name != path else ''}")
    for line in safe_text(job.text or "", lines=True).splitlines() or ["(no text)"]:
        click.echo(f"  {line}")
    click.echo(f"  Reason: {safe_text(review_reason(job))}")
