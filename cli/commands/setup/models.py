"""`captionq models`: the models on this machine, downloading others, removing them, and choosing one."""

from __future__ import annotations

import json
import sys

import click

from cli.completions import complete_model
from cli.options import format_option


@click.group(invoke_without_command=True)
@format_option()
@click.pass_context
def models(ctx: click.Context, output_format: str) -> None:
    """List, describe, recommend, download and remove models.

    Without a command: the list.

    \b
    Examples:
      captionq models
      captionq models recommend
      captionq models pull mlx-community/gemma-3-4b-it-4bit
    """
    if ctx.invoked_subcommand is None:
        _list(as_json=output_format == "json")


@models.command("list")
@format_option()
def list_(output_format: str) -> None:
    """List the models that need no download.

    They are built in, or in the Hugging Face cache; any other model is downloaded at its first use, or now by `pull`.
    MEMORY says how many requests decode at once beside the model. BATCHING says how requests can be batched, measured when the
    model is first loaded: together (fastest), one by one (prompts one at a time), alone (one request at a time), or refused (its
    answers would be wrong). "1 image" means at most one image per request.

    \b
    Examples:
      captionq models list
      captionq models list --format json
    """
    _list(as_json=output_format == "json")


@models.command()
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_model)
@format_option("json: one object.")
def info(model: str | None, output_format: str) -> None:
    """Describe a model: size, memory on this machine, licence, batching, thinking, pixels.

    Without MODEL: the default model (CAPTIONQ_MODEL or Qwen3-VL-4B). Of a model that is not here only some kilobytes are
    downloaded.

    \b
    Examples:
      captionq models info
      captionq models info mlx-community/gemma-3-4b-it-4bit
    """
    from cli.models.details import details_of
    from cli.models.pages import page, row_of
    from jobs.configuration.read_settings import read_settings
    from jobs.models.model_info import describe
    from jobs.safe_text import safe_text

    settings = read_settings()
    described = describe(model or settings.model)
    download = None
    if described.path is None:
        from jobs.models.adapters import split_name
        from jobs.models.hub import fetch_card
        from worker.models.download import download_size

        download = download_size(described.name).missing
        fetch_card(split_name(described.name)[0])
    found = details_of(described, settings)
    if output_format == "json":
        click.echo(json.dumps(row_of(found, settings) | {"download": download}))
        return
    for line in page(found, settings, download):
        click.echo(safe_text(line))


@models.command()
@click.option(
    "--memory-budget",
    help="Memory for models, such as 60% or 24GB.  [default: CAPTIONQ_MEMORY_BUDGET or this machine's]",
)
@format_option()
def recommend(memory_budget: str | None, output_format: str) -> None:
    """Recommend a model for this machine's memory, from a short list of well-known ones.

    The figures are those of others, with their sources; captionq bench measures your own machine.

    \b
    Examples:
      captionq models recommend
      captionq models recommend --memory-budget 12GB
    """
    from cli.models.machine import memory_limit
    from cli.models.recommendation import objects, print_recommendation
    from jobs.configuration.read_settings import read_settings
    from jobs.errors import SettingsError

    settings = read_settings(**({} if memory_budget is None else {"memory_budget": memory_budget}))
    limit = memory_limit(settings)
    if limit is None:
        raise SettingsError("mlx is not installed here, so the memory for models is unknown.")
    if output_format == "json":
        for row in objects(limit, settings):
            click.echo(json.dumps(row))
    else:
        print_recommendation(limit, settings)


@models.command()
@click.argument("model", metavar="[MODEL]", required=False)
def pull(model: str | None) -> None:
    """Download a model from Hugging Face.

    Without MODEL: the default model (CAPTIONQ_MODEL or Qwen3-VL-4B). The size is shown first. A download that was
    interrupted is resumed.

    \b
    Examples:
      captionq models pull
      captionq models pull mlx-community/gemma-3-4b-it-4bit
    """
    from cli.runs.model_pull import pull as pull_model
    from jobs.configuration.read_settings import read_settings

    pull_model(model or read_settings().model)


@models.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--yes", is_flag=True, help="Ask nothing.")
def remove(model: str, yes: bool) -> None:
    """Remove a model from the Hugging Face cache, also one that was downloaded in part.

    Other programs use the same cache, and download the model again when they need it.

    \b
    Examples:
      captionq models remove mlx-community/gemma-3-4b-it-4bit
      captionq models remove mlx-community/gemma-3-4b-it-4bit --yes
    """
    from rich.filesize import decimal

    from cli.models.removal import find_cached
    from cli.models.removal import remove as remove_model
    from jobs.safe_text import safe_text

    found = find_cached(model)
    size = decimal(found.size)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask in. Repeat the command with --yes.")
        click.confirm(safe_text(f"Remove {found.name} ({size}) from {found.folder.parent}?"), abort=True, err=True)
    remove_model(found)
    click.echo(safe_text(f"Removed {found.name}: {size} are free again."))


def _list(*, as_json: bool) -> None:
    from cli.models.details import details_of
    from cli.models.pages import row_of, table
    from jobs.configuration.read_settings import read_settings
    from jobs.models.batching_verdicts import read_verdicts
    from jobs.models.model_info import list_models

    settings = read_settings()
    verdicts = read_verdicts(settings)
    found = [details_of(model, settings, verdicts) for model in list_models()]
    lines = [json.dumps(row_of(model, settings)) for model in found] if as_json else table(found, settings)
    for line in lines:
        click.echo(line)
