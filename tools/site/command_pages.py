"""The commands as pages: what `--help` prints, a page a command with its subcommands below."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from html import escape

import click

from cli.main import COMMANDS, captionq

_FOLDER = "reference/commands"
#: Facts at the end of an option's help, such as `[default: none]`.
_FACTS = re.compile(r"\s*\[((?:default: |env: |required|x?\d|x[<>]|-?\d)[^\[\]]*)\]")


class MarkdownFormatter(click.HelpFormatter):
    """A formatter that Click lets each command write its help page to: sections and lists become Markdown."""

    def __init__(self, anchor: str) -> None:
        super().__init__()
        self._anchor = anchor

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        self.write(f"**Usage**\n\n```text\n{prog} {args}\n```\n\n")

    def write_text(self, text: str) -> None:
        """Write a command's own words. A paragraph after `\\b` keeps its lines: a title, and examples below."""
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
            if not paragraph.startswith("\b\n"):
                self.write(f"<p>{_prose(paragraph)}</p>\n\n")
                continue
            title, _, examples = paragraph[2:].partition("\n")
            self.write(f"**{title.rstrip(':')}**\n\n```sh\n{inspect.cleandoc(examples)}\n```\n\n")

    def write_heading(self, heading: str) -> None:
        self.write(f"**{heading}**\n\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        self.write('<dl class="options">\n')
        for names, words in rows:
            facts = [fact for found in _FACTS.findall(words) for fact in found.split("; ")]
            shown = "".join(f" <span>{escape(fact)}</span>" for fact in facts)
            name = self._name(names)
            self.write(f'<dt id="{name}"><a href="#{name}"><code>{escape(names)}</code></a>{shown}</dt>\n')
            self.write(f"<dd>{_prose(_FACTS.sub('', words))}</dd>\n")
        self.write("</dl>\n\n")

    def _name(self, names: str) -> str:
        """Return the anchor of an option, from its first long name."""
        found = re.search(r"--([\w-]+)", names)
        return f"{self._anchor}-{found[1] if found else names}"


def command_pages() -> dict[str, str]:
    """Return the pages by their addresses, in the order in which `captionq --help` lists the commands."""
    context = click.Context(captionq, info_name="captionq", **captionq.context_settings)
    pages = {f"{_FOLDER}/index.md": _contents()}
    for name in COMMANDS:
        command = captionq.get_command(context, name)
        assert command is not None
        head = f"---\ntitle: {name}\ndescription: {json.dumps(COMMANDS[name][1])}\nsearch: {{boost: 2}}\n---\n\n"
        pages[f"{_FOLDER}/{name}.md"] = head + "".join(_sections(command, context, name, level=1))
    return pages


def _contents() -> str:
    lines = [f"| [`{name}`]({name}.md) | {words} |" for name, (_, words) in COMMANDS.items()]
    return "\n".join(["# Commands", "", "| `captionq` … | does |", "|---|---|", *lines, ""])


def _sections(command: click.Command, parent: click.Context, name: str, level: int) -> Iterator[str]:
    """Yield the section of a command, and those of its subcommands."""
    context = command.context_class(command, parent=parent, info_name=name, **command.context_settings)
    anchor = context.command_path.replace(" ", "-")
    formatter = MarkdownFormatter(anchor)
    command.format_help_text(context, formatter)
    command.format_usage(context, formatter)
    if isinstance(command, click.Group):
        # A group would list its subcommands as well, which stand below.
        click.Command.format_options(command, context, formatter)
    else:
        command.format_options(context, formatter)
    yield f"{'#' * level} {context.command_path} {{ #{anchor} data-toc-label='{name}' }}\n\n{formatter.getvalue()}"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            subcommand = command.get_command(context, below)
            assert subcommand is not None
            yield from _sections(subcommand, context, below, level + 1)


def _prose(words: str) -> str:
    """Return HTML of words in which backticks mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words, quote=False).replace("\n", " "))
