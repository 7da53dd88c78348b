"""`captionq caption`: text files beside images."""

from __future__ import annotations

from pathlib import Path

import click

from cli.file_values import TextFile
from cli.model_options import SectionedCommand, SectionedOption, model_options, with_values
from cli.options import format_option, json_schema_option, model_option, read_response_format
from jobs.options.caption_options import CaptionOptions


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@model_options(CaptionOptions, parameter="options", metavars={"stop": "TEXT", "exclude": "PATTERN"})
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
@click.option("--yes", is_flag=True, help="With --sample: go on with the others without asking.")
@click.option("--dry-run", is_flag=True, help="Say what would happen to how many images, and write nothing.")
@format_option("json: one object per line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    model: str | None,
    options: CaptionOptions,
    prompt_file: str | None,
    json_schema: Path | None,
    strict: bool,
    sample: int | None,
    yes: bool,
    dry_run: bool,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped. If PATH is one
    image, its answer is also printed.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --exclude thumbs/ --exclude '*_edit.jpg'
      captionq caption ~/Pictures --dry-run
      captionq caption ~/Pictures --sample 5
      captionq caption ~/Pictures --preset tags --existing replace
      captionq caption ~/Pictures --vocabulary keywords.txt --max-pixels 500000
      captionq caption photo.heic --prompt "How many people?"
      captionq caption ~/Pictures --json-schema picture.schema.json
    """
    from cli.named_paths import named_path
    from cli.runs.caption_run import CaptionRun
    from cli.runs.dry_run import DryRun
    from cli.runs.sample import SampleOptions
    from jobs.creation.question import Question
    from jobs.settings import read_settings

    if prompt_file is not None:
        if options.prompt is not None:
            raise click.UsageError("Give either --prompt or --prompt-file, not both.")
        options = with_values(options, prompt=prompt_file.strip())
    if dry_run and sample is not None:
        raise click.UsageError("--dry-run captions nothing, so it goes without --sample.")
    if yes and sample is None:
        raise click.UsageError("--yes goes with --sample.")
    named = [named_path(path) for path in paths]
    settings = read_settings()
    question = Question.of(options, model or settings.model, read_response_format(json_schema))
    one_image = len(named) == 1 and named[0].is_file()
    make_run = DryRun if dry_run else CaptionRun
    run = make_run(
        settings,
        question,
        options,
        as_json=output_format == "json",
        strict=strict,
        one_image=one_image,
        sample=SampleOptions(sample, assume_yes=yes),
    )
    ctx.exit(run.caption(named))
