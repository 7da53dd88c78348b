"""`captionq help`: the help page of a command, for readers who try the word before the option."""

from __future__ import annotations

import click


@click.command(name="help")
@click.argument("command", nargs=-1)
@click.pass_context
def help(ctx: click.Context, command: tuple[str, ...]) -> None:  # noqa: A001
    """Show the help of a command.

    \b
    Examples:
      captionq help
      captionq help jobs list
    """
    assert ctx.parent is not None
    ctx.parent.command.main([*command, "--help"], prog_name="captionq")
