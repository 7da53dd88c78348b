"""`captionq caption`: text files beside images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli.file_values import TextFile
from cli.model_options import SectionedCommand, SectionedOption, model_options, with_values
from cli.named_paths import named_path
from cli.options import METAVARS, format_option, json_schema_option, model_option
from cli.path_list import read_path_list
from cli.photos_options import PhotosOptions, photos_options
from cli.typed_path import TypedPath
from jobs.objects.paths import is_object
from jobs.options.caption_options import CaptionOptions

#: The path that stands for a list of paths on standard input.
STANDARD_INPUT = Path("-")


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="PATH...", nargs=-1, type=TypedPath())
@model_option
@model_options(CaptionOptions, parameter="options", metavars=METAVARS)
@photos_options
@click.option(
    "--prompt-file",
    type=TextFile(),
    metavar="FILE",
    cls=SectionedOption,
    section="Prompt",
    help="File with the prompt for each image.  [default: none]",
)
@json_schema_option
@click.option(
    "--table",
    type=TypedPath(),
    metavar="FILE",
    help="Write a table of all images when the run ends, in their order: .csv, .jsonl or .parquet.  [default: none]",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 also if an answer looks wrong: cut off, empty, repeating itself, a refusal or in a wrong language.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Caption N images first, show them with the time that the others will take, then ask.  [default: none]",
)
@click.option("--yes", is_flag=True, help="With --sample and --write-back: go on without asking.")
@click.option("--dry-run", is_flag=True, help="Say what would happen to how many images, and write nothing.")
@click.option(
    "--notify/--no-notify",
    default=None,
    help="Show a notification of the desktop at the end.  [default: after more than three minutes]",
)
@click.option("--watch", is_flag=True, help="Go on with images that come into the folders, until Ctrl-C.")
@format_option("json: one object per line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    model: str | None,
    options: CaptionOptions,
    photos: PhotosOptions | None,
    prompt_file: str | None,
    json_schema: Path | None,
    table: Path | None,
    strict: bool,
    sample: int | None,
    yes: bool,
    dry_run: bool,
    notify: bool | None,
    watch: bool,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped. If PATH is one
    image, its new text is also printed. If PATH is -, paths are read from standard input, one a line or separated by NUL.

    Prompts and templates have fields that each image fills: {name}, {stem}, {folder}; from its metadata or its .xmp {date},
    {camera}, {lens}, {place}, {title}, {keywords}, {people}; {caption} is the text that is there, in a template the answer.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --exclude thumbs/ --exclude '*_edit.jpg'
      captionq caption ~/Pictures --include '*.heic' --newer-than 7d --limit 100
      captionq caption ~/Pictures --dry-run
      captionq caption ~/Pictures --sample 5
      captionq caption ~/Pictures --preset tags --existing replace
      captionq caption ~/Pictures --existing append --trigger ohwx --strip-openers
      captionq caption ~/Pictures --vocabulary keywords.txt --max-pixels 500000
      find ~/Pictures -name '*.jpg' -size +1M -print0 | captionq caption -
      captionq caption photo.heic --prompt "How many people?"
      captionq caption ~/Pictures --json-schema picture.schema.json
      captionq caption ~/Pictures --output txt,xmp --table captions.csv
      captionq caption --photos-library --album Holidays --sample 5
    """
    from cli.runs.processes.early_worker import start_early
    from jobs.configuration.read_settings import read_settings

    if prompt_file is not None:
        options = _with_prompt(options, prompt_file)
    _check_paths(ctx, paths, photos)
    _check_combination(options, photos, sample=sample, yes=yes, dry_run=dry_run, watch=watch)
    named, shown = _named(paths)
    _check_objects(named, options, watch=watch)
    settings = read_settings()
    # The imports below take as long as the worker's.
    worker = None if dry_run else start_early(settings, named, options)
    if worker is not None:
        # A run that fails or finds nothing to do has no use for it.
        ctx.call_on_close(worker.stop)
    from cli.output.run_notice import RunNotice
    from cli.runs.requested_run import RequestedRun, make_question
    from cli.runs.run_table import RunTable
    from cli.runs.sample import SampleOptions

    if photos is not None:
        from cli.runs.photos.library_run import check_options

        check_options(photos, options, dry_run=dry_run, watch=watch)
    notice = RunNotice(False if dry_run else notify)
    run = RequestedRun.of(
        settings,
        make_question(settings, options, model, json_schema),
        options,
        photos,
        description=shown,
        dry_run=dry_run,
        as_json=output_format == "json",
        strict=strict,
        one_image=len(named) == 1 and named[0].is_file(),
        sample=SampleOptions(sample, assume_yes=yes),
        worker=worker,
        table=None if table is None else RunTable(table),
    )
    ctx.exit(run.carry_out(named, notice, watch=watch))


def _with_prompt(options: CaptionOptions, prompt: str) -> CaptionOptions:
    """Set the prompt that was read from a file. Raises UsageError if there is another."""
    if options.prompt is not None:
        raise click.UsageError("Give either --prompt or --prompt-file, not both.")
    return with_values(options, prompt=prompt.strip())


def _check_paths(ctx: click.Context, paths: Sequence[Path], photos: PhotosOptions | None) -> None:
    """Raise UsageError unless there are either paths or a Photos library."""
    if photos is None and not paths:
        raise click.MissingParameter(ctx=ctx, param=next(one for one in ctx.command.params if one.name == "paths"))
    if photos is not None and paths:
        raise click.UsageError("Give either PATH... or --photos-library, not both.")
    if library := next((path for path in paths if path.suffix.casefold() == ".photoslibrary"), None):
        raise click.UsageError(
            f"Nothing is written into a Photos library. Use --photos-library {shlex.quote(str(library))}"
        )


def _check_combination(
    options: CaptionOptions,
    photos: PhotosOptions | None,
    *,
    sample: int | None,
    yes: bool,
    dry_run: bool,
    watch: bool,
) -> None:
    """Raise UsageError for options that contradict each other."""
    if dry_run and sample is not None:
        raise click.UsageError("--dry-run captions nothing, so it goes without --sample.")
    if yes and sample is None and (photos is None or not photos.write_back):
        raise click.UsageError("--yes goes with --sample and --write-back.")
    if watch and (options.limit is not None or dry_run or sample is not None):
        raise click.UsageError("--watch goes on without an end: leave out --limit, --dry-run and --sample.")


def _check_objects(named: Sequence[Path], options: CaptionOptions, *, watch: bool) -> None:
    """Raise UsageError for options that objects in S3 cannot follow."""
    if not any(map(is_object, named)):
        return
    if watch:
        raise click.UsageError("--watch cannot watch s3://. Run the command again: pictures with texts are skipped.")
    if options.embed:
        raise click.UsageError("Captions cannot be embedded into pictures in s3://. Choose --output txt, json or xmp.")


def _named(paths: Sequence[Path]) -> tuple[list[Path], str]:
    """Read the list of paths on standard input, if `-` is one of the paths. Returns all paths, and a description of them."""
    named: list[Path] = []
    shown: list[str] = []
    for path in paths:
        if path == STANDARD_INPUT:
            named += read_path_list(sys.stdin.buffer.read())
            shown.append("standard input")
        else:
            named.append(named_path(path))
            shown.append(str(named[-1]))
    return named, ", ".join(shown)
