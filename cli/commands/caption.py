"""`captionq caption`: text files beside images."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.model_options import SectionedCommand, model_options
from cli.options import format_option, json_schema_option, model_option, read_response_format
from jobs.options.caption_options import CaptionOptions

#: Placeholders of the options' values in the help.
METAVARS = {"stop": "TEXT", "include": "PATTERN", "exclude": "PATTERN", "newer_than": "TIME", "limit": "N"}
#: The path that stands for a list of paths on standard input.
STANDARD_INPUT = Path("-")


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@model_options(CaptionOptions, parameter="options", metavars=METAVARS)
@json_schema_option
@click.option(
    "--strict", is_flag=True, help="Exit with 1 also if an answer looks wrong: cut off, empty or repeating itself."
)
@click.option("--watch", is_flag=True, help="Go on with images that come into the folders, until Ctrl-C.")
@format_option("json: one object per line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    model: str | None,
    options: CaptionOptions,
    json_schema: Path | None,
    strict: bool,
    watch: bool,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped. If PATH is one
    image, its answer is also printed. If PATH is -, paths are read from standard input, one a line or separated by NUL.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --exclude thumbs/ --exclude '*_edit.jpg'
      captionq caption ~/Pictures --include '*.heic' --newer-than 7d --limit 100
      captionq caption ~/Pictures --preset tags --existing replace
      find ~/Pictures -name '*.jpg' -size +1M -print0 | captionq caption -
      captionq caption photo.heic --prompt "How many people?"
      captionq caption ~/Pictures --json-schema picture.schema.json
    """
    from cli.named_paths import named_path
    from cli.path_list import read_path_list
    from cli.runs.caption_run import CaptionRun
    from jobs.creation.question import Question
    from jobs.settings import read_settings

    named: list[Path] = []
    shown: list[str] = []
    for path in paths:
        if path == STANDARD_INPUT:
            named += read_path_list(sys.stdin.buffer.read())
            shown.append("standard input")
        else:
            named.append(named_path(path))
            shown.append(str(named[-1]))
    settings = read_settings()
    question = Question.of(options, model or settings.model, read_response_format(json_schema))
    one_image = len(named) == 1 and named[0].is_file()
    run = CaptionRun(settings, question, options, as_json=output_format == "json", strict=strict, one_image=one_image)
    if watch and options.limit is not None:
        raise click.UsageError("--watch goes on without a limit: leave out --limit.")
    ctx.exit((run.watch if watch else run.caption)(named, description=", ".join(shown)))
