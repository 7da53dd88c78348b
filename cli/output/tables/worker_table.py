"""The workers on the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.filesize import decimal

from cli.output.tables.job_table import print_table
from jobs.models.model_info import public_name
from jobs.queue.worker_state import WorkerState
from jobs.safe_text import safe_text

_HEADINGS = ("worker", "host", "model", "status", "jobs", "rate", "memory", "seen")
_STYLES = {"busy": "cyan", "draining": "yellow"}


def print_workers(workers: Sequence[WorkerState]) -> None:
    """Print a row for each worker, cut at the width of the terminal; in a pipe uncut, with tabs between the cells."""
    now = time.time()
    rows = [
        (
            safe_text(one.short_name),
            safe_text(one.host),
            "" if one.model is None else safe_text(public_name(one.model)),
            safe_text(one.status_words),
            str(one.jobs),
            "" if one.rate is None else f"{one.rate:.1f}/s",
            "" if one.memory is None else decimal(one.memory),
            f"{max(0.0, now - one.at):.0f} s ago",
        )
        for one in workers
    ]
    styles = [_STYLES.get(one.status) for one in workers]
    print_table(_HEADINGS, rows, styles, ratios=(3, 2, 3, 3, None, None, None, None))
