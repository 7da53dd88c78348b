"""`captionq jobs cancel`, `pause`, `resume` and `retry`: the commands that change jobs and batches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.completions import complete_batch
from cli.open_store import open_store

if TYPE_CHECKING:
    from redis import Redis

    from jobs.store.store import Store
    from jobs.store.tables import Job


@click.command()
@click.argument("jobs_or_batches", nargs=-1, required=True, shell_complete=complete_batch)
def cancel(jobs_or_batches: tuple[str, ...]) -> None:
    """Cancel jobs, or all open jobs of batches.

    Running jobs are stopped. Jobs that have ended stay as they are.

    \b
    Example:
      captionq jobs cancel batch_1a206df4dbf2953a72664
    """
    from cli.output.plurals import counted
    from jobs.creation import cancel
    from jobs.store.file_batches.batch_tables import FileBatchStatus
    from jobs.store.file_batches.file_batch_rows import FileBatches

    with open_store() as store:
        # The lines of a file that wait for their window must not become jobs any more.
        files = FileBatches(store.engine)
        closed = [name for name in jobs_or_batches if files.wind_down(name, FileBatchStatus.CANCELLED)]
        connection, cancelled = _broker(), 0
        for name in jobs_or_batches:
            if name.startswith("batch_"):
                cancelled += cancel.cancel_run(
                    store.batch(name).id, store=store, connection=connection, on_progress=_show_cancelled
                )
            else:
                cancelled += len(cancel.cancel([store.job(name).id], store=store, connection=connection))
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if cancelled or closed:
        click.echo(f"Cancelled {counted(cancelled, 'job')}.")
    else:
        click.echo(f"Nothing to cancel: {_all_jobs(jobs_or_batches)} ended.")


@click.command()
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_batch)
def pause(runs: tuple[str, ...]) -> None:
    """Pause runs: their queued jobs wait.

    Running jobs end. A paused run waits on all workers, also after a restart, until it is resumed. Other runs go on.

    \b
    Example:
      captionq jobs pause batch_1a206df4dbf2953a72664
    """
    from cli.output.plurals import counted
    from jobs.queue import pausing
    from jobs.store.tables import JobStatus

    with open_store() as store:
        for name in runs:
            paused = pausing.pause(name, store=store, connection=_broker())
            waiting = counted(store.counts(paused.id)[JobStatus.QUEUED], "job")
            click.echo(f"Paused {paused.id}: {waiting} queued. To go on: captionq jobs resume {paused.id}")


@click.command()
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_batch)
def resume(runs: tuple[str, ...]) -> None:
    """Resume paused runs.

    \b
    Example:
      captionq jobs resume batch_1a206df4dbf2953a72664
    """
    from jobs.queue import pausing

    with open_store() as store:
        for name in runs:
            resumed = pausing.resume(name, store=store, connection=_broker())
            click.echo(f"Resumed {resumed.id}.")


@click.command()
@click.argument("jobs_or_batches", nargs=-1, required=True, shell_complete=complete_batch)
@click.option("--force", is_flag=True, help="Also replace texts that you wrote or changed.")
def retry(jobs_or_batches: tuple[str, ...], force: bool) -> None:
    """Queue failed and cancelled jobs again.

    The new jobs form a new batch; the old jobs stay as they are. An answer whose file could not be written is kept: its file
    is written, and nothing is generated. Texts that you wrote or changed since an image was queued
    are kept, unless you move them away or give --force.

    \b
    Example:
      captionq jobs retry batch_1a206df4dbf2953a72664
    """
    from cli.output.plurals import counted
    from jobs.configuration.read_settings import read_settings
    from jobs.creation.retry import resubmit
    from jobs.creation.run_locks import RunLocks
    from jobs.store.tables import UNANSWERED, Batch

    with open_store() as store:
        chosen = [job for name in jobs_or_batches for job in _jobs_of(store, name) if job.status in UNANSWERED]
        if not chosen:
            click.echo(f"Nothing to retry: no job of {_names(jobs_or_batches)} failed or was cancelled.")
            return
        batch = Batch(description=" ".join(jobs_or_batches), model=chosen[0].model)
        dead = RunLocks(read_settings()).dead(store.open_batches())
        made = resubmit(batch, chosen, store=store, connection=_broker(), dead=dead, force=force)
    click.echo(f"Queued {counted(made.queued + made.resumed, 'job')} as {batch.id}.")
    if busy := made.followed + made.refused:
        click.echo(f"{counted(len(busy), 'image')} left out: {busy[0].maker} is already captioning the first.")
    click.echo("A running worker takes them. If none runs, start one: captionq work", err=True)


def _show_cancelled(count: int) -> None:
    """Show on a terminal how far the cancel of a large batch is."""
    if sys.stderr.isatty():
        click.echo(f"\rCancelling … {count:,} jobs", nl=False, err=True)


def _names(names: tuple[str, ...]) -> str:
    from jobs.safe_text import safe_text

    return safe_text(", ".join(names))


def _all_jobs(names: tuple[str, ...]) -> str:
    if len(names) == 1 and not names[0].startswith("batch_"):
        return f"{_names(names)} has"
    return f"all jobs of {_names(names)} have"


def _jobs_of(store: Store, name: str) -> list[Job]:
    if name.startswith("batch_"):
        return store.jobs(batch_id=store.batch(name).id)
    return [store.job(name)]


def _broker() -> Redis | None:
    """Find the running broker, if any. Without a broker the rows are enough: the next worker reads them at its start."""
    from jobs.configuration.read_settings import read_settings
    from jobs.queue import broker

    return broker.find(read_settings())
