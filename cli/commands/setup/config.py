"""`captionq config`: the user's configuration file, and the settings in effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.options import format_option

if TYPE_CHECKING:
    from pathlib import Path

_TEMPLATE = """\
# Settings and presets of captionq. Environment variables (CAPTIONQ_SLOTS) win over this file.

[settings]
# model = "mlx-community/Qwen3-VL-4B-Instruct-4bit"
# max_pixels = 500_000

# [presets.plants]
# prompt = "Name the plants in this image, separated by commas."
# max_tokens = 60
"""


@click.group()
def config() -> None:
    """Show or edit the configuration file.

    The file is TOML. [settings] has the settings by their names in lower case; an environment variable such as
    CAPTIONQ_SLOTS wins over it. [presets.NAME] has a prompt for `--preset NAME`, and sampling options. CAPTIONQ_CONFIG
    names another file; if it is empty, no file is read.

    \b
    Examples:
      captionq config edit
      captionq config show
    """


@config.command()
def path() -> None:
    """Print the path of the file, whether it exists or not.

    \b
    Example:
      captionq config path
    """
    click.echo(str(_path()))


@config.command()
@format_option("json: one object.")
def show(output_format: str) -> None:
    """Show every setting with the place that it comes from. Secrets are masked.

    \b
    Examples:
      captionq config show
      captionq config show --format json
    """
    from cli.output.tables.settings_table import effective_settings, print_settings
    from jobs.options.prompts.presets import own_presets

    own_presets()
    settings = effective_settings()
    if output_format == "json":
        click.echo(json.dumps({one.name: {"value": one.value, "source": one.source} for one in settings}))
    else:
        print_settings(settings)


@config.command()
@click.pass_context
def edit(ctx: click.Context) -> None:
    """Open the file in the editor of VISUAL or EDITOR, and check it after it was saved.

    \b
    Example:
      captionq config edit
    """
    from jobs.configuration.read_settings import read_settings
    from jobs.options.prompts.presets import own_presets

    file = _path()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_TEMPLATE)
    click.edit(filename=str(file))
    read_settings()
    own_presets()
    click.echo(f"{file} is in order.", err=True)


def _path() -> Path:
    from jobs.configuration.config_file import CONFIG_VARIABLE, config_path

    file = config_path()
    if file is None:
        raise click.ClickException(f"{CONFIG_VARIABLE} is empty, so no configuration file is used. Unset it.")
    return file
