"""`captionq models`: the models that need no download, and downloading others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.options import format_option

if TYPE_CHECKING:
    from jobs.models.batching_verdicts import BatchingVerdict


@click.group(invoke_without_command=True)
@format_option()
@click.pass_context
def models(ctx: click.Context, output_format: str) -> None:
    """List the models that need no download.

    They are built in, or in the Hugging Face cache; any other model is downloaded at its first use, or now by `pull`.
    BATCHING says how a model's requests can be batched, measured when the model is first loaded: together (fastest), one by
    one (prompts one at a time), alone (one request at a time), or refused (its answers would be wrong). "1 image" means at
    most one image per request.

    \b
    Examples:
      captionq models
      captionq models pull
    """
    if ctx.invoked_subcommand is None:
        _list(as_json=output_format == "json")


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


def _list(*, as_json: bool) -> None:
    from rich.filesize import decimal

    from jobs.configuration.read_settings import read_settings
    from jobs.models.batching_verdicts import key_of, read_verdicts
    from jobs.models.model_info import list_models, weights_size

    found = list_models()
    verdicts = read_verdicts(read_settings())
    known = {model.name: verdict for model in found if model.path and (verdict := verdicts.get(key_of(model.path)))}
    if as_json:
        for model in found:
            verdict = known.get(model.name)
            row = {
                "model": model.name,
                "modality": model.modality,
                "batching": verdict.batching if verdict else None,
                "one_image": verdict.one_image if verdict else None,
                "bytes": weights_size(model.path) if model.path else None,
                "path": str(model.path),
            }
            click.echo(json.dumps(row))
        return
    width = max(len(model.name) for model in found)
    click.echo(f"{'MODEL':<{width}}  KIND    {'SIZE':>8}  {'BATCHING':<19}  FOLDER")
    for model in found:
        size = decimal(weights_size(model.path)) if model.path else ""
        batching = _shown(known.get(model.name))
        click.echo(f"{model.name:<{width}}  {model.modality:<6}  {size:>8}  {batching:<19}  {model.path}")


def _shown(verdict: BatchingVerdict | None) -> str:
    if verdict is None:
        return "not tried"
    return f"{verdict.batching}, 1 image" if verdict.one_image else str(verdict.batching)
