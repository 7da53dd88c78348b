"""`captionq completion`: the script by which a shell completes captionq's commands, options and values."""

from __future__ import annotations

import click

#: Shell → where its script goes.
_PLACES = {
    "zsh": 'Put this line into ~/.zshrc, below compinit: eval "$(captionq completion zsh)"',
    "bash": 'Put this line into ~/.bashrc (bash 4.4 or newer): eval "$(captionq completion bash)"',
    "fish": "Run once: captionq completion fish > ~/.config/fish/completions/captionq.fish",
}
#: The variable by which the script asks captionq, as Click names it.
_VARIABLE = "_CAPTIONQ_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options and values.

    Models, presets and runs are completed as well. The last line of the script says where to put it.

    \b
    Examples:
      eval "$(captionq completion zsh)"
      captionq completion zsh
      captionq completion fish > ~/.config/fish/completions/captionq.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    assert ctx.parent is not None
    script = kind(ctx.parent.command, {}, "captionq", _VARIABLE).source()
    click.echo(f"{script.rstrip()}\n\n# {_PLACES[shell]}")
