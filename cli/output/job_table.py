"""Jobs and batches on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

from cli.output.job_fields import name_of, previous_text, reason_of, shown_path
from jobs.safe_text import safe_text
from jobs.store.tables import Batch, Job, JobStatus

_STYLE = {
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    JobStatus.RUNNING: "cyan",
    JobStatus.CANCELLED: "yellow",
}
#: Fields whose lines are shown as lines.
_TEXTS = ("text", "previous text")
_HEADINGS = ("job", "status", "age", "image", "answer or reason")


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print a row for each job, cut at the width of the terminal; without a terminal uncut, with tabs between the cells."""
    # Without markup: a name such as [red].jpg is a name.
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        for row in (_HEADINGS, *map(_row, jobs)):
            click.echo("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, expand=True)
    for heading in _HEADINGS[:3]:
        table.add_column(heading, no_wrap=True)
    for heading, ratio in zip(_HEADINGS[3:], (2, 3), strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for job in jobs:
        table.add_row(*_row(job), style=_STYLE.get(JobStatus(job.status)))
    console.print(table)


def _row(job: Job) -> tuple[str, ...]:
    said = _marked(job) if job.status == JobStatus.SUCCEEDED else job.error_message
    # A text may have lines; in a name they are part of the name.
    told = safe_text(" ".join((said or "").split()))
    return job.id, job.status, _age(job.created_at), safe_text(_short_name(job)), told


def _marked(job: Job) -> str:
    """Return the text, after the mark of its quality if there is one."""
    return f"({job.quality}) {job.text}" if job.quality else job.text or ""


def print_counts(counts: Mapping[JobStatus, int]) -> None:
    """Print the number of jobs of each status."""
    click.echo(", ".join(f"{count} {status.value}" for status, count in counts.items() if count) or "no jobs")


def print_batch(batch: Batch, counts: Mapping[JobStatus, int]) -> None:
    """Print a batch, field by field."""
    _print_fields({"batch": batch.id, "made": _when(batch.created_at), "from": batch.description, "model": batch.model})
    print_counts(counts)


def print_job(job: Job) -> None:
    """Print a job, field by field; empty fields are left out."""
    usage = None
    if job.completion_tokens is not None:
        usage = f"{job.prompt_tokens} prompt ({job.image_tokens} image) + {job.completion_tokens} completion tokens"
    parts = ("queue", "preprocess", "prefill", "decode")
    seconds = [(part, getattr(job, f"{part}_seconds")) for part in parts]
    _print_fields(
        {
            "job": job.id,
            "batch": job.batch_id,
            "status": job.status,
            "image": name_of(job) if job.source else None,
            "output": shown_path(job.output) if job.output else None,
            "model": job.model,
            "made": _when(job.created_at),
            "attempts": str(job.attempts),
            "text": job.text,
            "previous text": previous_text(job),
            "finish reason": job.finish_reason,
            "quality": job.quality,
            "usage": usage,
            "seconds": ", ".join(f"{part} {value:.3f}" for part, value in seconds if value is not None) or None,
            "reason": reason_of(job) if job.status == JobStatus.FAILED else None,
            "error code": job.error_code,
        }
    )


def _print_fields(fields: Mapping[str, str | None]) -> None:
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is not None:
            click.echo(f"{name:<{width}}  {safe_text(value, lines=name in _TEXTS)}")


def _short_name(job: Job) -> str:
    return name_of(job).rpartition("/")[2]


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _age(at: float) -> str:
    seconds = max(0, int(time.time() - at))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
