"""Jobs and batches on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.output.job_fields import previous_text, reason_of
from jobs.captions.outputs.job_record import prompt_of, settings_of, shown_path
from jobs.safe_text import safe_text
from jobs.store.queries.batch_list import CountedBatch
from jobs.store.tables import Batch, Job, JobStatus

_STYLE = {
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    JobStatus.RUNNING: "cyan",
    JobStatus.CANCELLED: "yellow",
}
#: Fields whose lines are shown as lines.
_TEXTS = ("prompt", "text", "new text", "previous text", "edited text")
_HEADINGS = ("job", "status", "age", "image", "answer or reason")


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print a row for each job, cut at the width of the terminal; without a terminal uncut, with tabs between the cells."""
    on_terminal = Console().is_terminal
    rows = [_row(job, short=on_terminal) for job in jobs]
    styles = [_STYLE.get(JobStatus(job.status)) for job in jobs]
    print_table(_HEADINGS, rows, styles, ratios=(None, None, None, 2, 3))


def print_batches(batches: Sequence[CountedBatch]) -> None:
    """Print a row for each batch, as `print_jobs` does."""
    rows = [
        (
            one.batch.id,
            age_of(one.batch.created_at),
            batch_in_words(one.batch, one.counts),
            one.batch.model,
            safe_text(one.batch.description),
        )
        for one in batches
    ]
    print_table(("batch", "age", "jobs", "model", "from"), rows, [None] * len(rows), ratios=(None, None, 3, 2, 3))


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str | None],
    ratios: Sequence[int | None],
    *,
    wrap: bool = False,
) -> None:
    """Print a table. Columns without a ratio are as wide as they need to be; the others share the rest of the terminal.

    `wrap`: cells that are too long have several lines, and are not cut.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in (headings, *rows):
            click.echo("\t".join(" ".join(value.split()) for value in row))
        return
    table = Table(box=None, pad_edge=False, expand=True)
    for heading, ratio in zip(headings, ratios, strict=True):
        table.add_column(heading, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis", ratio=ratio)
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*map(escape, row), style=style)
    console.print(table)


def _row(job: Job, *, short: bool) -> tuple[str, ...]:
    said = _marked(job) if job.status == JobStatus.SUCCEEDED else job.error_message
    # A text may have lines; in a name they are part of the name.
    told = safe_text(" ".join((said or "").split()))
    image = safe_text(shown_path(job.source)) if job.source else ""
    return job.id, job.status, age_of(job.created_at), image.rpartition("/")[2] if short else image, told


def _marked(job: Job) -> str:
    """Return the text, after the mark of its quality if there is one."""
    return f"({job.quality}) {job.text}" if job.quality else job.text or ""


def in_words(counts: Mapping[JobStatus, int]) -> str:
    """Say the number of jobs of each status."""
    return ", ".join(f"{count} {status.value}" for status, count in counts.items() if count) or "no jobs"


def batch_in_words(batch: Batch, counts: Mapping[JobStatus, int]) -> str:
    """Say the number of jobs of each status, and whether the batch is paused."""
    return in_words(counts) + (", paused" if batch.paused_at is not None else "")


def print_total(counts: Mapping[JobStatus, int], shown: int) -> None:
    """Print the number of jobs of each status to the terminal, never among the rows that another program reads."""
    newest = f"; the newest {shown} are shown" if shown < sum(counts.values()) else ""
    click.echo(f"{in_words(counts)}{newest}", err=True)


def print_batch(batch: Batch, counts: Mapping[JobStatus, int]) -> None:
    """Print a batch, field by field."""
    _print_fields(
        {
            "batch": batch.id,
            "made": _when(batch.created_at),
            "from": batch.description,
            "model": batch.model,
            "priority": str(batch.priority) if batch.priority else None,
            "jobs": batch_in_words(batch, counts),
        }
    )


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
            "lane": job.lane,
            "image": shown_path(job.source) if job.source else None,
            "output": shown_path(job.output) if job.output else None,
            "model": job.model,
            "prompt": prompt_of(job),
            "settings": _settings(job),
            "made": _when(job.created_at),
            "started": _when(job.started_at),
            "finished": _when(job.finished_at),
            "attempts": str(job.attempts),
            "text": job.text,
            "new text": job.output_text,
            "previous text": previous_text(job),
            "finish reason": job.finish_reason,
            "quality": job.quality,
            "reviewed": _when(job.reviewed_at),
            "edited text": job.edited_text,
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
            first, *others = safe_text(value, lines=name in _TEXTS).splitlines() or [""]
            click.echo(f"{name:<{width}}  {first}")
            for line in others:
                click.echo(f"{'':<{width}}  {line}")


def _settings(job: Job) -> str:
    """Say the settings of the answer in one line; of a schema only the name, for the JSON has it all."""
    settings = settings_of(job)
    shape = settings.pop("response_format", None)
    words = [f"{name} {value}" for name, value in settings.items()]
    if isinstance(shape, dict):
        words.append(" ".join(["format", shape["type"], shape.get("json_schema", {}).get("name", "")]).rstrip())
    return ", ".join(words)


def _when(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def age_of(at: float) -> str:
    """Return the time since `at`, such as `3 min`."""
    seconds = max(0, int(time.time() - at))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
