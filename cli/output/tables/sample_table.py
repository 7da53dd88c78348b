"""The answers of a sample: name, text, tokens and seconds, and the picture itself where the terminal can show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import click

from cli.output.inline_images import inline_image
from cli.output.job_fields import name_of, reason_of
from cli.output.tables.job_table import print_table
from jobs.requests import path_of
from jobs.safe_text import safe_text
from jobs.store.tables import Job, JobStatus


def print_sample(jobs: Sequence[Job]) -> None:
    """Print the sample, its images in the order of their names."""
    jobs = sorted(jobs, key=lambda job: job.source or "")
    for job in jobs:
        if job.source is not None and (picture := inline_image(path_of(job.source))) is not None:
            click.echo(picture)
            click.echo(safe_text(PurePath(name_of(job)).name))
    rows = [(safe_text(PurePath(name_of(job)).name), _said(job), _tokens(job), _seconds(job)) for job in jobs]
    print_table(
        ("image", "answer or reason", "tokens", "seconds"), rows, [None] * len(rows), (1, 3, None, None), wrap=True
    )


def _said(job: Job) -> str:
    said = job.new_text if job.status == JobStatus.SUCCEEDED else reason_of(job)
    mark = f"({job.quality}) " if job.quality else ""
    return safe_text(mark + " ".join((said or "").split()))


def _tokens(job: Job) -> str:
    return "" if job.completion_tokens is None else f"{job.prompt_tokens} + {job.completion_tokens}"


def _seconds(job: Job) -> str:
    parts = (job.preprocess_seconds, job.prefill_seconds, job.decode_seconds)
    return "" if job.completion_tokens is None else f"{sum(part or 0.0 for part in parts):.1f}"
