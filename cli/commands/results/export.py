"""`captionq export`: captions of the store as a table, or as files beside the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.completions import complete_run
from cli.exit_status import ALL_CAPTIONED, SOME_FAILED
from cli.model_options import CommaChoice
from cli.open_store import open_store
from cli.output.plurals import counted
from cli.typed_path import TypedPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.options.outputs import FileKind
    from jobs.store.queries.run_pictures import PictureChoice
    from jobs.store.store import Store
    from jobs.store.tables import Job


@click.command()
@click.argument("run", metavar="RUN|last|all", shell_complete=complete_run)
@click.option(
    "--table",
    type=TypedPath(),
    metavar="FILE",
    help="Write a table: .csv, .jsonl or .parquet. An existing file is replaced.  [default: none]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet", "metadata"]),
    help="Format of the table. metadata: for Hugging Face's imagefolder, as metadata.jsonl in a folder above the images.  "
    "[default: by the file's extension]",
)
@click.option(
    "--output",
    "kinds",
    type=CommaChoice(("txt", "json", "xmp")),
    metavar="[txt|json|xmp],…",
    help="Write files beside the images. Texts that are there stay.  [default: none]",
)
@click.option(
    "--show",
    type=click.Choice(["all", "failed", "review", "cached", "duplicate", "edited"]),
    default="all",
    help="Only these pictures of the run.  [default: all]",
)
@click.option(
    "--search", default="", metavar="WORDS", help="Only pictures with these words in caption or name.  [default: any]"
)
@click.option(
    "--sort", type=click.Choice(["name", "latest"]), default="name", help="Order of the table.  [default: name]"
)
@click.option("--keywords", is_flag=True, help="In xmp: write the captions as keywords, split at commas.")
@click.pass_context
def export(
    ctx: click.Context,
    run: str,
    table: Path | None,
    form: str | None,
    kinds: tuple[FileKind, ...] | None,
    show: str,
    search: str,
    sort: str,
    keywords: bool,
) -> None:
    """Write tables of captions, or files beside images, at any time.

    The captions come from the database. A row for each image has its path, caption, model, prompt, tokens, seconds,
    status and error. `last` is the newest run; with `all` every image has its newest caption. --output writes files beside
    the images instead, which `captionq undo` takes back with the run. --show and --search choose pictures as the page does.

    \b
    Examples:
      captionq export last --table captions.csv
      captionq export all --table ~/Pictures/metadata.jsonl --format metadata
      captionq export last --output json,xmp
      captionq export last --table dogs.csv --search 'brown dog'
    """
    from jobs.captions.outputs.late_outputs import write_late
    from jobs.captions.outputs.tables import row_of, table_format, write_table
    from jobs.safe_text import safe_text
    from jobs.store.queries.run_pictures import PictureChoice, Show, Sort

    if table is None and kinds is None:
        raise click.UsageError("Say what to write: --table FILE or --output txt,json,xmp.")
    chosen = None if table is None else table_format(table, form)
    choice = PictureChoice(Show(show), Sort(sort), search)
    with open_store() as store:
        if table is not None and chosen is not None:
            number = write_table(table, (row_of(job) for job in _jobs_of(run, choice, store)), chosen)
            click.echo(safe_text(f"{table}: {counted(number, 'row')}"))
        if kinds is not None:
            written = write_late(_jobs_of(run, choice, store), kinds, store, keywords=keywords)
            click.echo(f"{', '.join(kinds)}: {counted(written.images, 'image')}")
            for path, reason in written.left.items():
                click.echo(safe_text(f"  {path}: {reason}"))
            ctx.exit(SOME_FAILED if written.left else ALL_CAPTIONED)


def _jobs_of(run: str, choice: PictureChoice, store: Store) -> Iterator[Job]:
    """Find the jobs of `all`, or those of `last` or a run that are chosen. Raises NotFoundError."""
    from jobs.errors import NotFoundError
    from jobs.store.queries.caption_runs import best_jobs, newest_caption_run
    from jobs.store.queries.run_pictures import chosen_jobs

    if run == "all":
        if choice.query:
            raise click.UsageError(
                "--show, --search and --sort choose among the pictures of one run: name the run, or last."
            )
        return best_jobs(store.engine)
    batch_id = newest_caption_run(store.engine) if run == "last" else run
    if batch_id is None:
        raise NotFoundError("There was no caption run yet: captionq caption PATH makes one.")
    return chosen_jobs(store.engine, store.batch(batch_id).id, choice)
