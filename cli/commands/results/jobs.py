"""`captionq jobs`: list and show jobs and batches. `change_jobs.py` holds the commands that change them."""

from __future__ import annotations

import sys

import click

from cli.commands.results.change_jobs import cancel, pause, resume, retry
from cli.commands.results.prune import prune
from cli.completions import complete_batch
from cli.open_store import open_store
from cli.options import format_option


@click.group()
def jobs() -> None:
    """List, show, pause, cancel, retry and prune jobs.

    \b
    Examples:
      captionq jobs list --status failed
      captionq jobs batches
    """


@jobs.command("list")
@click.option("--batch", "batch_id", shell_complete=complete_batch, help="Only jobs of this batch.")
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
    from cli.output.tables.job_table import print_jobs, print_total
    from jobs.safe_text import safe_json
    from jobs.store.tables import JobStatus

    with open_store() as store:
        if batch_id is not None:
            store.batch(batch_id)
        wanted = [JobStatus(status) for status in statuses]
        found = store.jobs(batch_id=batch_id, statuses=wanted, limit=min(limit, sys.maxsize), newest_first=True)
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
    from cli.output.tables.job_table import print_batches
    from jobs.safe_text import safe_json
    from jobs.store.queries.batch_list import newest_batches

    with open_store() as store:
        found = newest_batches(store.engine, min(limit, sys.maxsize))
    if output_format == "json":
        for one in found:
            click.echo(safe_json(batch_as_json(one.batch, one.counts)))
        return
    print_batches(found)


@jobs.command()
@click.argument("job_or_batch", shell_complete=complete_batch)
@format_option()
def show(job_or_batch: str, output_format: str) -> None:
    """Show a job or a batch.

    A job with its image, prompt, settings, text, token usage and times; a batch with the number of its jobs by status.

    \b
    Example:
      captionq jobs show job_1a206df4e0dd54f049644
    """
    from cli.output.job_fields import batch_as_json, with_question
    from cli.output.tables.job_table import print_batch, print_job
    from jobs.safe_text import safe_json

    with open_store() as store:
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


jobs.add_command(cancel)
jobs.add_command(pause)
jobs.add_command(resume)
jobs.add_command(retry)
jobs.add_command(prune)
