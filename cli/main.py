"""The `captionq` command: a group that imports a command when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from typing import Any

import click

from cli.exit_status import INTERRUPTED
from jobs.safe_text import safe_text

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _errors_in_words():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _errors_in_words():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            ctx.exit(INTERRUPTED)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Raise faults of the block as Click's errors: in one line, without control characters of the names in it."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort, click.exceptions.NoArgsIsHelpError):
        raise
    except click.UsageError as error:
        raise click.UsageError(safe_text(error.format_message()), error.ctx) from error
    except click.ClickException as error:
        raise click.ClickException(safe_text(error.format_message())) from error
    except Exception as error:
        # Imported here: a command that succeeds does not pay for it.
        from cli.output.fault_sentences import sentence_of
        from jobs.errors import CaptionqError

        sentence = error.message if isinstance(error, CaptionqError) else sentence_of(error)
        if sentence is None:
            raise
        raise click.ClickException(safe_text(sentence)) from error


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
