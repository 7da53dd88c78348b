"""`captionq models`: the models that need no download."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.options import format_option

if TYPE_CHECKING:
    from jobs.models.batching_verdicts import BatchingVerdict


@click.command()
@format_option()
def models(output_format: str) -> None:
    """List the models that need no download.

    They are built in, or in the Hugging Face cache; any other model is downloaded at its first use. BATCHING says how a
    model's requests can be batched, measured when the model is first loaded: together (fastest), one by one (prompts one at
    a time), alone (one request at a time), or refused (its answers would be wrong). "1 image" means at most one image per
    request.

    \b
    Example:
      captionq models
    """
    from jobs.models.batching_verdicts import key_of, read_verdicts
    from jobs.models.model_info import list_models
    from jobs.settings import read_settings

    found = list_models()
    verdicts = read_verdicts(read_settings())
    known = {model.name: verdict for model in found if model.path and (verdict := verdicts.get(key_of(model.path)))}
    if output_format == "json":
        for model in found:
            verdict = known.get(model.name)
            row = {"model": model.name, "modality": model.modality, "batching": verdict.batching if verdict else None}
            click.echo(
                json.dumps({**row, "one_image": verdict.one_image if verdict else None, "path": str(model.path)})
            )
        return
    width = max(len(model.name) for model in found)
    click.echo(f"{'MODEL':<{width}}  KIND    {'BATCHING':<19}  FOLDER")
    for model in found:
        batching = _shown(known.get(model.name))
        click.echo(f"{model.name:<{width}}  {model.modality:<6}  {batching:<19}  {model.path}")


def _shown(verdict: BatchingVerdict | None) -> str:
    if verdict is None:
        return "not tried"
    return f"{verdict.batching}, 1 image" if verdict.one_image else str(verdict.batching)
