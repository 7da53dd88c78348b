"""The questions of a review: single keys on a terminal, a line each from a pipe."""

from __future__ import annotations

import sys

import click

from jobs.safe_text import safe_text

KEYS = {"k": "keep", "e": "edit", "a": "ask again", "s": "skip", "q": "quit"}


class ReviewDialogue:
    """The person, or the pipe, that decides."""

    def __init__(self) -> None:
        self._on_terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def key(self) -> str:
        """Ask for a key until it is one of KEYS. The end of the input is q."""
        offered = ", ".join(f"{key} {word}" for key, word in KEYS.items())
        while True:
            click.echo(f"[{offered}] ", nl=not self._on_terminal)
            typed = self._typed()
            if typed in KEYS:
                click.echo(KEYS[typed])
                return typed
            click.echo(f"{safe_text(typed)!r} is none of the keys.")

    def text(self, text: str) -> str | None:
        """Have the text edited: in $EDITOR on a terminal, else the next line is the new text. None: it stays."""
        if self._on_terminal:
            edited = click.edit(text, extension=".txt")
        else:
            click.echo("New text:")
            edited = sys.stdin.readline()
        edited = (edited or "").strip()
        return None if edited in ("", text.strip()) else edited

    def prompt(self) -> str | None:
        """Ask for another prompt. None: the same one."""
        click.echo("Prompt (empty: the same with other settings): ", nl=not self._on_terminal)
        return sys.stdin.readline().strip() or None

    def _typed(self) -> str:
        if self._on_terminal:
            return click.getchar().lower()
        line = sys.stdin.readline()
        return line.strip().lower() if line else "q"
