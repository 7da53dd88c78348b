"""The `captionq` command: a group that imports a command when it is called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.exit_status import INTERRUPTED
from jobs.safe_text import safe_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Command → the module that holds it under the same name, and its line on the help page, in the order of that page.
COMMANDS = {
    "caption": ("cli.commands.caption", "Write a text file beside each image: photo.jpg gets photo.txt."),
    "ask": ("cli.commands.ask", "Answer a question about images, or many questions about folders."),
    "undo": ("cli.commands.results.undo", "Take back the files of a caption run."),
    "export": ("cli.commands.results.export", "Write tables of captions, or files beside images, at any time."),
    "serve": ("cli.commands.serve", "Serve the HTTP API, with its broker and its worker."),
    "batch": ("cli.commands.batch", "Answer a file of requests (JSONL), here or by a running server."),
    "open": ("cli.commands.open", "Open the page of captionq serve in the browser."),
    "work": ("cli.commands.work", "Run the worker until Ctrl-C."),
    "workers": ("cli.commands.workers", "List the workers of all machines, and drain one."),
    "service": ("cli.commands.service", "Run captionq serve in the background, from every login on."),
    "stop": ("cli.commands.stop", "Stop the worker that captionq ask left running."),
    "jobs": ("cli.commands.results.jobs", "List, show, pause, cancel, retry and prune jobs."),
    "prune": ("cli.commands.results.prune", "Remove old jobs and batches from the database."),
    "review": ("cli.commands.results.review", "Go through answers that look wrong, one by one."),
    "backup": ("cli.commands.setup.backup", "Write all rows, uploads and the configuration into one file."),
    "restore": ("cli.commands.setup.backup", "Bring the rows and uploads of a backup back."),
    "cache": ("cli.commands.setup.cache", "Show or clear the caches of results and of image features."),
    "presets": ("cli.commands.setup.presets", "List the presets: the prompts that --preset knows by name."),
    "config": ("cli.commands.setup.config", "Show or edit the configuration file."),
    "models": ("cli.commands.setup.models", "List, describe, recommend, download and remove models."),
    "bench": ("cli.commands.bench", "Measure captionq against a plain loop over mlx-vlm."),
    "doctor": ("cli.commands.setup.doctor", "Check everything that captionq needs."),
    "mcp": ("cli.commands.mcp", "Serve tools to programs that speak the Model Context Protocol (MCP)."),
    "completion": (
        "cli.commands.completion",
        "Print the script by which a shell completes commands, options and values.",
    ),
    "help": ("cli.commands.help", "Show the help of a command."),
}

#: Functions that do not have the command's name, because Python uses it.
FUNCTIONS = {"open": "open_page"}


class Commands(click.Group):
    """A group that finds commands by name and turns captionq's errors into one line on the terminal."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name][0]), FUNCTIONS.get(name, name))
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands without importing them, and the options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            if Path(args[0]).exists():
                raise click.UsageError(f"To caption {args[0]}: captionq caption {args[0]}", ctx) from error
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from error

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
        # Click lists the values of a choice below each other.
        raise click.UsageError(safe_text(error.format_message().replace("\n\t", " ")), error.ctx) from error
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


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from cli.version import version_line

        click.echo(version_line())
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and its commit, and exit.",
)
@click.pass_context
def captionq(ctx: click.Context) -> None:
    """Caption images and answer questions about them, through a queue that loses nothing.

    \b
    Example:
      captionq caption ~/Pictures
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand not in ("doctor", "help"):
        _warn_of_unknown_settings()


def _warn_of_unknown_settings() -> None:
    """Print a line for each variable that looks like a setting, and is none. Settings are imported only if there is one."""
    if not any(name.upper().startswith("CAPTIONQ_") for name in os.environ):
        return
    from jobs.configuration.read_settings import unknown_settings

    for sentence in unknown_settings():
        click.echo(f"Warning: {sentence}", err=True)


def main() -> None:
    """Run the console script."""
    captionq(prog_name="captionq")
