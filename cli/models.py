"""`captionq models`: what is usable."""

from __future__ import annotations

import json

import click

from cli.options import format_option


@click.command()
@format_option()
def models(output_format: str) -> None:
    """List the models that are here: built-in, or in the Hugging Face cache.

    Any other one is fetched when it is first used. BATCHING says how its requests run, which is tried out when the model is
    first loaded: together (fastest), one by one (prompts one at a time), or alone (one request at a time).

    \b
    Example:
      captionq models
    """
    from jobs.models import list_models
    from jobs.settings import read_settings
    from jobs.verdicts import key_of, read_verdicts

    found = list_models()
    verdicts = read_verdicts(read_settings())
    batching = {one.name: verdict.batching for one in found if one.path and (verdict := verdicts.get(key_of(one.path)))}
    if output_format == "json":
        for model in found:
            row = {"model": model.name, "modality": model.modality, "batching": batching.get(model.name)}
            click.echo(json.dumps({**row, "path": str(model.path)}))
        return
    width = max(len(model.name) for model in found)
    click.echo(f"{'MODEL':<{width}}  KIND    BATCHING    FOLDER")
    for model in found:
        known = batching.get(model.name, "not tried")
        click.echo(f"{model.name:<{width}}  {model.modality:<6}  {known:<10}  {model.path}")
