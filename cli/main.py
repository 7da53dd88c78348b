"""The `captionq` command: a group that imports a command when it is called."""

from __future__ import annotations

import importlib
from importlib.metadata import version as installed_version
from typing import Any

import click

from cli.exit_status import INTERRUPTED

#: Command → the module that holds it under the same name, in the order of the help page.
COMMANDS = {
    "caption": "cli.commands.caption",
    "serve": "cli.commands.serve",
    "work": "cli.commands.work",
    "jobs": "cli.commands.jobs",
    "models": "cli.commands.models",
    "bench": "cli.commands.bench",
    "doctor": "cli.commands.doctor",
}


class Commands(click.Group):
    """A group that finds commands by name and turns captionq's errors into one line on the terminal."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name]), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        from jobs.errors import CaptionqError

        try:
            return super().invoke(ctx)
        except CaptionqError as error:
            raise click.ClickException(error.message) from error
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(installed_version("captionq"), message="%(version)s")
def captionq() -> None:
    """Caption images and answer questions about them, through a queue that loses nothing.

    \b
    Example:
      captionq caption ~/Pictures
    """


def main() -> None:
    """Run the console script."""
    captionq(prog_name="captionq")
