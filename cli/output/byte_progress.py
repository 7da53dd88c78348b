"""A progress bar of bytes on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def byte_progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Draw the bar during the block, if standard error is a terminal. Yields the function that counts further bytes."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn(words), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=total)
        yield lambda count: progress.advance(task, count)
