"""`captionq models pull`: the download of a model, with its size before and its progress meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from jobs.models.model_info import describe, weights_size
from worker.models.download import DownloadSize, OnProgress, check_room, download_size, fetch


def pull(name: str) -> None:
    """Download a model, or the rest of it, and name its folder.

    Raises ModelNotFoundError, ModelUnavailableError, ModelError (a model that cannot be used is not downloaded).
    """
    model = describe(name)
    if model.path is not None:
        click.echo(f"{name} is here already: {model.path} ({decimal(weights_size(*model.folders))})")
        return
    size = download_size(name)
    missing, total = decimal(size.missing), decimal(size.total)
    click.echo(f"{name}: {missing} to download{f' of {total}' if missing != total else ''}", err=True)
    check_room(name, size, names_folder=True)
    with _progress_bar(size) as on_progress:
        fetch(name, on_progress, shown=False)
    model = describe(name)
    click.echo(f"{name} is here now: {model.path} ({decimal(weights_size(*model.folders))})")


@contextmanager
def _progress_bar(size: DownloadSize) -> Iterator[OnProgress]:
    """Draw a bar on standard error if it is a terminal; yield its progress callback."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=size.total, completed=size.total - size.missing)
        yield lambda done, total: progress.update(task, completed=done, total=max(total, size.total))
