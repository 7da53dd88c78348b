"""`captionq jobs`: list, show, cancel, retry and prune jobs and batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.options import age_in_seconds, format_option

if TYPE_CHECKING:
    from redis import Redis

    from jobs.configuration.settings import Settings
    from jobs.store.store import Store
    from jobs.store.tables import Job


@click.group()
def jobs() -> None:
    """List, show, cancel, retry and prune jobs.

    \b
    Examples:
      captionq jobs list --status failed
      captionq jobs batches
    """


@jobs.command("list")
@click.option("--batch", "batch_id", help="Only jobs of this batch.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["queued", "running", "succeeded", "failed", "cancelled"]),
    help="Only jobs with this status; may be repeated.  [default: all]",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to show, newest first.")
@format_option()
def list_jobs(batch_id: str | None, statuses: tuple[str, ...], limit: int, output_format: str) -> None:
    """List the newest jobs.

    In a pipe each job is a line with tabs between its cells, and nothing is cut.

    \b
    Example:
      captionq jobs list --status failed --limit 100
    """
    from cli.output.job_fields import with_question
    from cli.output.job_table import print_jobs, print_total
    from jobs.safe_text import safe_json
    from jobs.store.tables import JobStatus

    with _store() as store:
        if batch_id is not None:
            store.batch(batch_id)
        wanted = [JobStatus(status) for status in statuses]
        found = store.jobs(batch_id=batch_id, statuses=wanted, limit=limit, newest_first=True)
        if output_format == "json":
            for job in found:
                click.echo(safe_json(with_question(job)))
            return
        print_jobs(found)
        counts = store.counts(batch_id)
        print_total({status: counts[status] for status in wanted or counts}, len(found))


@jobs.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to show, newest first.")
@format_option()
def batches(limit: int, output_format: str) -> None:
    """List the newest batches.

    A batch holds the jobs of one command or of one request for a folder or a list.

    \b
    Example:
      captionq jobs batches --limit 5
    """
    from cli.output.job_fields import batch_as_json
    from cli.output.job_table import print_batches
    from jobs.safe_text import safe_json
    from jobs.store.queries.batch_list import newest_batches

    with _store() as store:
        found = newest_batches(store.engine, limit)
    if output_format == "json":
        for one in found:
            click.echo(safe_json(batch_as_json(one.batch, one.counts)))
        return
    print_batches(found)


@jobs.command()
@click.argument("job_or_batch")
@format_option()
def show(job_or_batch: str, output_format: str) -> None:
    """Show a job or a batch.

    A job with its image, prompt, settings, text, token usage and times; a batch with the number of its jobs by status.

    \b
    Example:
      captionq jobs show job_1a206df4e0dd54f049644
    """
    from cli.output.job_fields import batch_as_json, with_question
    from cli.output.job_table import print_batch, print_job
    from jobs.safe_text import safe_json

    with _store() as store:
        if job_or_batch.startswith("batch_"):
            batch, counts = store.batch(job_or_batch), store.counts(job_or_batch)
            if output_format == "json":
                click.echo(safe_json(batch_as_json(batch, counts)))
            else:
                print_batch(batch, counts)
            return
        job = store.job(job_or_batch)
        if output_format == "json":
            click.echo(safe_json(with_question(job)))
        else:
            print_job(job)


@jobs.command()
@click.argument("jobs_or_batches", nargs=-1, required=True)
def cancel(jobs_or_batches: tuple[str, ...]) -> None:
    """Cancel jobs, or all open jobs of batches.

    Running jobs are stopped. Jobs that have ended stay as they are.

    \b
    Example:
      captionq jobs cancel batch_1a206df4dbf2953a72664
    """
    from cli.output.plurals import counted
    from jobs.creation import cancel
    from jobs.store.batch_tables import FileBatchStatus
    from jobs.store.file_batches.file_batch_rows import FileBatches
    from jobs.store.tables import OPEN

    with _store() as store:
        # The lines of a file that wait for their window must not become jobs any more.
        files = FileBatches(store.engine)
        closed = [name for name in jobs_or_batches if files.wind_down(name, FileBatchStatus.CANCELLED)]
        chosen = [job.id for name in jobs_or_batches for job in _jobs_of(store, name) if job.status in OPEN]
        cancelled = cancel.cancel(chosen, store=store, connection=_broker())
    if cancelled or closed:
        click.echo(f"Cancelled {counted(len(cancelled), 'job')}.")
    else:
        click.echo(f"Nothing to cancel: {_all_jobs(jobs_or_batches)} ended.")


@jobs.command()
@click.argument("jobs_or_batches", nargs=-1, required=True)
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
    from jobs.creation.retry import resubmit
    from jobs.creation.run_locks import RunLocks
    from jobs.store.tables import UNANSWERED, Batch

    with _store() as store:
        chosen = [job for name in jobs_or_batches for job in _jobs_of(store, name) if job.status in UNANSWERED]
        if not chosen:
            click.echo(f"Nothing to retry: no job of {_names(jobs_or_batches)} failed or was cancelled.")
            return
        batch = Batch(description=" ".join(jobs_or_batches), model=chosen[0].model)
        dead = RunLocks(_settings()).dead(store.open_batches())
        made = resubmit(batch, chosen, store=store, connection=_broker(), dead=dead, force=force)
    click.echo(f"Queued {counted(made.queued + made.resumed, 'job')} as {batch.id}.")
    if busy := made.followed + made.refused:
        click.echo(f"{counted(len(busy), 'image')} left out: {busy[0].maker} is already captioning the first.")
    click.echo("A running worker takes them. If none runs, start one: captionq work", err=True)


@jobs.command()
@click.option(
    "--older-than",
    metavar="AGE",
    required=True,
    callback=age_in_seconds,
    help="Time since the job or the batch ended, such as 30d or 12h.",
)
def prune(older_than: int) -> None:
    """Remove old jobs and batches from the database.

    Only jobs that have ended are removed, and a batch only as a whole. Text files stay; captionq no longer knows them as
    its own, so replacing them needs --force. The freed space is used for new jobs.

    \b
    Example:
      captionq jobs prune --older-than 30d
    """
    from cli.output.plurals import counted
    from jobs.store import pruning

    with _store() as store:
        removed = pruning.prune(store.engine, time.time() - older_than)
    click.echo(f"Removed {counted(removed.jobs, 'job')} and {counted(removed.batches, 'batch')}.")


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


def _settings() -> Settings:
    from jobs.configuration.settings import read_settings

    settings = read_settings()
    settings.make_folders()
    return settings


def _broker() -> Redis | None:
    """Find the running broker, if any. Without a broker the rows are enough: the next worker reads them at its start."""
    from jobs.queue import broker

    return broker.find(_settings())


@contextmanager
def _store() -> Iterator[Store]:
    from jobs.store.store import Store

    store = Store(_settings())
    try:
        yield store
    finally:
        store.close()
