"""Batches of a server on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.output.tables.job_table import age_of, print_table
from jobs.safe_text import safe_text

_STYLES = {"completed": "green", "failed": "red", "expired": "yellow", "cancelled": "yellow"}


def print_file_batches(batches: Sequence[dict[str, Any]], *, with_errors: bool) -> None:
    """Print a row for each of OpenAI's `batch` objects, and the flaws of their files if these are asked for."""
    rows = [
        (
            one["id"],
            one["status"],
            age_of(one["created_at"]),
            str(one["request_counts"]["total"]),
            str(one["request_counts"]["completed"]),
            str(one["request_counts"]["failed"]),
        )
        for one in batches
    ]
    headings = ("batch", "status", "age", "requests", "answered", "failed")
    print_table(headings, rows, [_STYLES.get(one["status"]) for one in batches], ratios=(None,) * len(headings))
    if with_errors:
        for one in batches:
            for flaw in (one.get("errors") or {}).get("data", []):
                line = "" if flaw.get("line") is None else f"line {flaw['line']}: "
                click.echo(safe_text(f"  {line}{flaw['message']}"))
