"""`captionq export`: captions of the store as a table."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", metavar="RUN|last|all")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="File to write: .csv, .jsonl or .parquet. An existing file is replaced.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet", "metadata"]),
    help="metadata: for Hugging Face's imagefolder, as metadata.jsonl in a folder above the images.  "
    "[default: by the file's extension]",
)
def export(run: str, table: Path, form: str | None) -> None:
    """Write a table of captions: CSV, JSON lines, Parquet, metadata.jsonl.

    The captions come from the database, at any time. A row for each image has its path, caption, model, prompt, tokens, seconds,
    status and error. `last` is the newest run; with `all` every image has its newest caption.

    \b
    Examples:
      captionq export last --table captions.csv
      captionq export all --table ~/Pictures/metadata.jsonl --format metadata
    """
    from cli.output.plurals import counted
    from jobs.captions.tables import row_of, table_format, write_table
    from jobs.safe_text import safe_text
    from jobs.settings import read_settings
    from jobs.store.caption_runs import best_jobs, jobs_of_run, newest_caption_run
    from jobs.store.store import Store

    chosen_format = table_format(table, form)
    store = Store(read_settings())
    try:
        if run == "all":
            jobs = best_jobs(store.engine)
        elif (batch_id := newest_caption_run(store.engine) if run == "last" else run) is None:
            click.echo("Nothing to export: there was no caption run.")
            return
        else:
            jobs = jobs_of_run(store, store.batch(batch_id).id)
        number = write_table(table, (row_of(job) for job in jobs), chosen_format)
    finally:
        store.close()
    click.echo(safe_text(f"{table}: {counted(number, 'row')}"))
