"""`captionq presets`: the ready-made prompts."""

from __future__ import annotations

import json
import shutil
import sys

import click

from cli.options import format_option
from jobs.safe_text import safe_text

_PIPE_WIDTH = 120


@click.command()
@format_option("json: one object per line, with the whole prompt and its options.")
def presets(output_format: str) -> None:
    """List the presets: the prompts that --preset knows by name.

    Your own stand in the configuration file (captionq config edit):

    \b
      [presets.plants]
      prompt = "Name the plants in this image, separated by commas."
      max_tokens = 60

    \b
    Examples:
      captionq presets
      captionq caption ~/Pictures --preset alt-text
    """
    from jobs.options.prompts.presets import all_presets, own_presets

    found, own = all_presets(), own_presets()
    names = max(map(len, found))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
    for name, preset in found.items():
        source = "yours" if name in own else "built in"
        if output_format == "json":
            click.echo(json.dumps({"name": name, "source": source, "prompt": preset.prompt, "options": preset.options}))
            continue
        prompt = " ".join(preset.prompt.split())
        line = f"{name:<{names}}  {prompt}" + (" (yours)" if name in own else "")
        click.echo(safe_text(line if len(line) <= width else line[: width - 1] + "…"))
