"""`captionq models`: what is usable."""

from __future__ import annotations

import json

import click

from cli.options import format_option


@click.command()
@format_option()
def models(output_format: str) -> None:
    """List the models that are here: built-in, or in the Hugging Face cache.

    Any other one is fetched when it is first used.

    \b
    Example:
      captionq models
    """
    from worker.loader import list_models

    found = list_models()
    if output_format == "json":
        for model in found:
            click.echo(json.dumps({"model": model.name, "modality": model.modality, "path": str(model.path)}))
        return
    width = max(len(model.name) for model in found)
    for model in found:
        click.echo(f"{model.name:<{width}}  {model.modality:<6}  {model.path}")
