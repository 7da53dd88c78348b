"""`captionq caption`: text files beside images."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import AnswerOptions, answer_options, format_option, model_option
from jobs.request_defaults import DEFAULT_PRESET, PRESETS, preset


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
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
@click.option(
    "--strict", is_flag=True, help="Exit with 1 also if an answer looks wrong: cut off, empty or repeating itself."
)
@format_option("json: one object a line as results arrive.")
@click.pass_context
def caption(
    ctx: click.Context,
    paths: tuple[Path, ...],
    recursive: bool,
    existing: str,
    force: bool,
    model: str | None,
    prompt: str | None,
    preset_name: str | None,
    answer: AnswerOptions,
    strict: bool,
    output_format: str,
) -> None:
    """Write a text file beside each image: photo.jpg gets photo.txt.

    Images that have a text file are skipped, so running the same command again resumes where it stopped. If PATH is one
    image, its answer is also printed.

    \b
    Examples:
      captionq caption ~/Pictures
      captionq caption ~/Pictures --preset tags --existing replace
      captionq caption photo.heic --prompt "How many people?"
      captionq caption ~/Pictures --json-schema picture.schema.json
    """
    from cli.runs.caption_run import CaptionRun
    from jobs.creation.existing_texts import Existing
    from jobs.creation.question import Question
    from jobs.settings import read_settings

    if prompt is not None and preset_name is not None:
        raise click.UsageError("Give either --prompt or --preset.")
    if force and existing != "replace":
        raise click.UsageError("--force goes with --existing replace.")
    missing = [path for path in paths if not path.is_symlink() and not path.exists()]
    if missing:
        raise click.UsageError(f"{missing[0]} does not exist.")
    settings = read_settings()
    question = Question(
        model=model or settings.model,
        prompt=prompt or preset(preset_name or DEFAULT_PRESET),
        sampling=answer.sampling,
        response_format=answer.response_format,
    )
    image = paths[0] if len(paths) == 1 and paths[0].is_file() else None
    run = CaptionRun(settings, question, as_json=output_format == "json", strict=strict, image=image)
    ctx.exit(run.caption(paths, recursive=recursive, existing=Existing(existing), force=force))
