"""`captionq caption`: text files beside images."""

from __future__ import annotations

from pathlib import Path

import click

from cli.model_options import SectionedCommand, model_options
from cli.options import format_option, json_schema_option, model_option, read_response_format
from jobs.options.caption_options import CaptionOptions


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@model_options(CaptionOptions, parameter="options", metavars={"stop": "TEXT", "exclude": "PATTERN"})
@json_schema_option
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a table of all images when the run ends, in their order: .csv, .jsonl or .parquet.  [default: none]",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 1 also if an answer looks wrong: cut off, empty or repeating itself."
)
@format_option("json: one object per line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    model: str | None,
    options: CaptionOptions,
    json_schema: Path | None,
    table: Path | None,
    strict: bool,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped. If PATH is one
    image, its new text is also printed.

    Prompts and templates have fields that each image fills: {name}, {stem}, {folder}; from its metadata or its .xmp {date},
    {camera}, {lens}, {place}, {title}, {keywords}, {people}; {caption} is the text that is there, in a template the answer.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --exclude thumbs/ --exclude '*_edit.jpg'
      captionq caption ~/Pictures --preset tags --existing replace
      captionq caption ~/Pictures --existing append --trigger ohwx --strip-openers
      captionq caption photo.heic --prompt "How many people?"
      captionq caption ~/Pictures --json-schema picture.schema.json
      captionq caption ~/Pictures --output txt,xmp --table captions.csv
    """
    from cli.named_paths import named_path
    from cli.runs.caption_run import CaptionRun
    from cli.runs.run_table import RunTable
    from jobs.captions.embedding import find_exiftool
    from jobs.creation.question import Question
    from jobs.settings import read_settings

    named = [named_path(path) for path in paths]
    settings = read_settings()
    if options.embed:
        find_exiftool()
    question = Question.of(options, model or settings.model, read_response_format(json_schema))
    one_image = len(named) == 1 and named[0].is_file()
    run = CaptionRun(
        settings,
        question,
        options,
        as_json=output_format == "json",
        strict=strict,
        one_image=one_image,
        table=None if table is None else RunTable(table),
    )
    ctx.exit(run.caption(named))
