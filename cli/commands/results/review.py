"""`captionq review`: answers that need a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.completions import complete_run
from cli.open_store import open_store
from cli.options import format_option

if TYPE_CHECKING:
    from jobs.store.store import Store
    from jobs.store.tables import Job


@click.command()
@click.argument("run", metavar="[RUN|last|all]", default="last", shell_complete=complete_run)
@click.option("--list", "only_list", is_flag=True, help="Only list the answers.")
@format_option("With --list. json: one object per line.")
def review(run: str, only_list: bool, output_format: str) -> None:
    """Go through answers that look wrong, one by one.

    These answers are cut off, empty, loops or refusals also after they were asked for again, or could not be written.
    RUN is the batch that the summary of a run names; last: the newest run with such answers. Keys: k keeps an answer, e
    edits it in $EDITOR, a asks again with another prompt or other settings, s skips it, q ends. A text that you edit is
    yours: captionq does not replace it without --force.

    \b
    Examples:
      captionq review
      captionq review all --list --format json
    """
    from cli.output.tables.review_table import print_reviews, print_reviews_as_json
    from cli.runs.review import Review
    from jobs.configuration.read_settings import read_settings

    if output_format == "json" and not only_list:
        raise click.UsageError("--format json goes with --list.")
    with open_store() as store:
        jobs = _chosen(store, run)
        if only_list and output_format == "json":
            print_reviews_as_json(jobs)
        elif not jobs:
            click.echo("No answer needs a review.")
        elif only_list:
            print_reviews(jobs)
        else:
            Review(read_settings(), store).walk(jobs)


def _chosen(store: Store, run: str) -> list[Job]:
    """Return the answers of a run that need a review, in the order in which their jobs were made."""
    if run == "all":
        return store.jobs(needs_review=True)
    if run == "last":
        newest = store.jobs(needs_review=True, newest_first=True, limit=1)
        return store.jobs(batch_id=newest[0].batch_id, needs_review=True) if newest else []
    return store.jobs(batch_id=store.batch(run).id, needs_review=True)
