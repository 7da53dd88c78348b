"""The recommended model, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.filesize import decimal

from jobs.configuration.settings import Settings
from jobs.models.model_info import is_here
from jobs.models.recommended import MODELS, recommend


def objects(limit: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the models of the list as objects, the best first."""
    chosen = recommend(limit)
    for model in MODELS:
        yield {
            "model": model.name,
            "recommended": model is chosen,
            "bytes": model.weights,
            "sequences": min(model.sequences(limit), settings.slots),
            "memory_limit": limit,
            "reason": model.reason,
            "figure": model.figure,
            "here": is_here(model.name),
        }


def print_recommendation(limit: int, settings: Settings) -> None:
    """Print the list with the recommended model marked, and how to get it."""
    chosen = recommend(limit)
    click.echo(f"Models may use {decimal(limit)} here.\n")
    for model in MODELS:
        fit = model.sequences(limit)
        memory = f"{min(fit, settings.slots)} requests at once" if fit else "too large for this memory"
        click.echo(f"{'→' if model is chosen else ' '} {model.name}: about {decimal(model.weights)}, {memory}")
        click.echo(f"    {model.reason}\n    Elsewhere: {model.figure}")
    if chosen is None:
        click.echo("\nNone of them fits. Give models more memory (--memory-budget, CAPTIONQ_MEMORY_BUDGET).")
        return
    click.echo("")
    if not is_here(chosen.name):
        click.echo(f"To download it: captionq models pull {chosen.name}")
    if settings.model != chosen.name:
        click.echo(f"To use it always: CAPTIONQ_MODEL={chosen.name}")
    click.echo("To measure it on this machine: captionq bench --model " + chosen.name)
