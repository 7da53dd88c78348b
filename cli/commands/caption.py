"""`captionq caption`: text files beside images."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import AnswerOptions, answer_options, format_option, model_option
from jobs.request_defaults import DEFAULT_PRESET, PRESETS, preset


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files and folders, as in a .gitignore: '*_edit.jpg', 'thumbs/', '/old'; may be repeated.  [default: none]",
)
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Search subfolders.")
@click.option(
    "--existing",
    type=click.Choice(["skip", "replace"]),
    default="skip",
    show_default=True,
    help="Images that have a text file: skip them, or replace the texts that captionq wrote.",
)
@click.option("--force", is_flag=True, help="With --existing replace: also replace texts that you wrote or changed.")
@model_option
@click.option("--prompt", help="Prompt for each image.")
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(list(PRESETS)),
    help=f"A ready-made prompt.  [default: {DEFAULT_PRESET}]",
)
@answer_options
@format_option("json: one object a line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    exclude: tuple[str, ...],
    recursive: bool,
    existing: str,
    force: bool,
    model: str | None,
    prompt: str | None,
    preset_name: str | None,
    answer: AnswerOptions,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --exclude thumbs/ --exclude '*_edit.jpg'
      captionq caption ~/Pictures --preset tags --existing replace
      captionq caption photo.heic --prompt "How many people?" --format json
      captionq caption ~/Pictures --json-schema picture.schema.json
    """
    from cli.named_paths import named_path
    from cli.runs.caption_run import CaptionRun, Wanted
    from jobs.creation.existing_texts import Existing
    from jobs.creation.question import Question
    from jobs.images.exclusions import Exclusions
    from jobs.settings import read_settings

    if prompt is not None and preset_name is not None:
        raise click.UsageError("Give either --prompt or --preset.")
    if force and existing != "replace":
        raise click.UsageError("--force goes with --existing replace.")
    named = [named_path(path) for path in paths]
    exclusions = Exclusions(exclude)
    settings = read_settings()
    question = Question(
        model=model or settings.model,
        prompt=prompt or preset(preset_name or DEFAULT_PRESET),
        sampling=answer.sampling,
        response_format=answer.response_format,
    )
    run = CaptionRun(settings, question, as_json=output_format == "json")
    wanted = Wanted(named, exclusions, recursive=recursive, existing=Existing(existing), force=force)
    ctx.exit(run.caption(wanted))
