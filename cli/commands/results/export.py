"""`captionq export`: captions of the store as a table, or as files beside the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_status import ALL_CAPTIONED, SOME_FAILED
from cli.model_options import CommaChoice
from cli.open_store import open_store
from cli.output.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.options.outputs import FileKind
    from jobs.store.store import Store
    from jobs.store.tables import Job


@click.command()
@click.argument("run", metavar="RUN|last|all")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
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
@click.option("--keywords", is_flag=True, help="In xmp: write the captions as keywords, split at commas.")
@click.pass_context
def export(
    ctx: click.Context,
    run: str,
    table: Path | None,
    form: str | None,
    kinds: tuple[FileKind, ...] | None,
    keywords: bool,
) -> None:
    """Write tables of captions, or files beside images, at any time.

    The captions come from the database. A row for each image has its path, caption, model, prompt, tokens, seconds,
    status and error. `last` is the newest run; with `all` every image has its newest caption. --output writes files beside
    the images instead, which `captionq undo` takes back with the run.

    \b
    Examples:
      captionq export last --table captions.csv
      captionq export all --table ~/Pictures/metadata.jsonl --format metadata
      captionq export last --output json,xmp
    """
    from jobs.captions.outputs.late_outputs import write_late
    from jobs.captions.outputs.tables import row_of, table_format, write_table
    from jobs.safe_text import safe_text

    if table is None and kinds is None:
        raise click.UsageError("Say what to write: --table FILE or --output txt,json,xmp.")
    chosen = None if table is None else table_format(table, form)
    with open_store() as store:
        if table is not None and chosen is not None:
            number = write_table(table, (row_of(job) for job in _jobs_of(run, store)), chosen)
            click.echo(safe_text(f"{table}: {counted(number, 'row')}"))
        if kinds is not None:
            written = write_late(_jobs_of(run, store), kinds, store, keywords=keywords)
            click.echo(f"{', '.join(kinds)}: {counted(written.images, 'image')}")
            for path, reason in written.left.items():
                click.echo(safe_text(f"  {path}: {reason}"))
            ctx.exit(SOME_FAILED if written.left else ALL_CAPTIONED)


def _jobs_of(run: str, store: Store) -> Iterator[Job]:
    """Find the jobs of `all`, `last` or a run. Raises NotFoundError."""
    from jobs.errors import NotFoundError
    from jobs.store.queries.caption_runs import best_jobs, jobs_of_run, newest_caption_run

    if run == "all":
        return best_jobs(store.engine)
    batch_id = newest_caption_run(store.engine) if run == "last" else run
    if batch_id is None:
        raise NotFoundError("There was no caption run yet: captionq caption PATH makes one.")
    return jobs_of_run(store.engine, store.batch(batch_id).id)
