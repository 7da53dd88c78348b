"""The command line: help with examples, quick answers, errors in one line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, captionq
from tests.support.command_output import output

HEAVY = (
    "mlx",
    "numpy",
    "PIL",
    "fastapi",
    "sqlalchemy",
    "rq",
    "redis",
    "transformers",
    "huggingface_hub",
    "pydantic",
    "llguidance",
)

#: Packages and modules that a run of captions has no use for: together they would take as long as the rest of its imports.
UNUSED = (
    *(
        "mlx",
        "transformers",
        "huggingface_hub",
        "numpy",
        "PIL",
        "fastapi",
        "alembic",
        "valkey",
        "pathspec",
        "llguidance",
    ),
    *("rich.console", "rich.progress", "redis.asyncio.client", "sqlalchemy.dialects.postgresql"),
)
#: A run as `captionq` begins it, which only looks at its images, and the path of the broker's server.
_RUN = f"""
import sys
import captionq
captionq._leave = lambda end: None
captionq.main()
from jobs.queue.broker_server import server_binary
server_binary()
from jobs.store.tables import Job
print([name for name in {UNUSED!r} if name in sys.modules], Job.__pydantic_complete__)
"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_help_imports_nothing_heavy() -> None:
    """Help answers at once: slow modules are imported only by the commands that need them."""
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import captionq\n"
        "assert CliRunner().invoke(captionq, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_imports_only_what_it_uses(tmp_path: Path) -> None:
    """The command starts in a moment, without a terminal, patterns or metadata; validators of rows are not made."""
    (tmp_path / "photo.jpg").touch()
    environment = os.environ | {"CAPTIONQ_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-c", _RUN, "caption", str(tmp_path), "--model", "demo", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] False"


@pytest.mark.parametrize("command", list(commands(captionq)), ids=" ".join)
def test_every_command_says_what_it_does_and_shows_an_example(command: tuple[str, ...]) -> None:
    """Help has an example that begins like the command, names the default of every option, and fits 80 columns."""
    help_text = output(CliRunner().invoke(captionq, [*command, "--help"], terminal_width=80))
    assert max(map(len, help_text.splitlines())) <= 80, help_text
    assert re.search(rf"^ +captionq {' '.join(command)}\b", help_text, re.MULTILINE), help_text
    context = click.Context(captionq)
    found: click.Command | None = captionq
    for name in command:
        assert isinstance(found, click.Group)
        found = found.get_command(context, name)
    assert found is not None
    for option in found.params:
        if (
            isinstance(option, click.Option)
            and not option.hidden
            and option.name not in ("help", "model", "prompt", "batch_id")
            and not option.is_flag
            and not option.required
        ):
            shown = option.show_default or "default:" in (option.help or "") or option.default is None
            assert shown, f"{option.name} does not say its default"


@pytest.mark.parametrize("command", [(), *commands(captionq)], ids=" ".join)
def test_help_breaks_no_word(command: tuple[str, ...]) -> None:
    """Every word of the docstring and of the options' help stands in the page as it is written, at 80 columns."""
    found: click.Command = captionq
    for name in command:
        assert isinstance(found, click.Group)
        sub = found.get_command(click.Context(found), name)
        assert sub is not None
        found = sub
    page = output(CliRunner().invoke(captionq, [*command, "--help"], terminal_width=80)).split()
    shown = [option for option in found.params if isinstance(option, click.Option) and not option.hidden]
    written = [found.help or "", *((option.help or "") for option in shown)]
    assert [word for text in written for word in text.replace("\b\n", " ").split() if word not in page] == []


@pytest.mark.parametrize("command", [(), *commands(captionq)], ids=" ".join)
def test_a_shell_runs_no_word_of_an_example_as_a_program(command: tuple[str, ...]) -> None:
    """A choice such as photo|drawing stands in quotes: without them the shell would start a program `drawing`."""
    page = output(CliRunner().invoke(captionq, [*command, "--help"], terminal_width=100))
    for line in re.findall(r"^ +((?:[A-Z_]+=\S+ |find .*)?captionq .*)$", page, re.MULTILINE):
        words = list(shlex.shlex(line, posix=True, punctuation_chars="|"))
        assert [after for word, after in pairwise(words) if word == "|"] in ([], ["captionq"]), line


def test_help_is_a_word_too(run: CliRunner) -> None:
    """`captionq help COMMAND` is `captionq COMMAND --help`."""
    page = output(run.invoke(captionq, ["jobs", "list", "--help"], prog_name="captionq"))
    assert output(run.invoke(captionq, ["help", "jobs", "list"])) == page
    assert output(run.invoke(captionq, ["help"])).startswith("Usage: captionq [OPTIONS] COMMAND")
    assert output(run.invoke(captionq, ["-V"])) == output(run.invoke(captionq, ["--version"]))


def test_a_mistyped_command_gets_a_suggestion(run: CliRunner, tmp_path: Path) -> None:
    """A path in the place of a command gets the command for it."""
    for arguments in (["captain"], ["help", "captain"]):
        refused = run.invoke(captionq, arguments)
        assert refused.exit_code == 2
        assert "No such command 'captain'. Did you mean 'caption'?" in refused.output
    assert f"To caption {tmp_path}: captionq caption {tmp_path}" in run.invoke(captionq, [str(tmp_path)]).output


def test_a_mistyped_setting_is_a_warning_for_every_command(run: CliRunner) -> None:
    """The warning is on standard error, once; the command does its work."""
    result = run.invoke(captionq, ["models"], env={"CAPTIONQ_SLOT": "3"})
    assert result.exit_code == 0
    assert result.stderr == "Warning: CAPTIONQ_SLOT is not a setting; did you mean CAPTIONQ_SLOTS?\n"


def test_every_command_stands_in_the_readme() -> None:
    """The README leaves out no command."""
    readme = Path("README.md").read_text()
    assert [name for name in COMMANDS if f"captionq {name}" not in readme] == []


@pytest.mark.parametrize(
    ("name", "value"), [("CAPTIONQ_SLOTS", "many"), ("CAPTIONQ_ALLOWED_ROOTS", "/pictures"), ("CAPTIONQ_GRACE", "-1")]
)
def test_a_bad_setting_is_named(run: CliRunner, name: str, value: str) -> None:
    """The error is one line with the variable, without a traceback."""
    result = run.invoke(captionq, ["jobs", "list"], env={name: value})
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert name.removeprefix("CAPTIONQ_").lower() in result.output.lower()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_on_the_help_page_is_the_command_s_own(name: str) -> None:
    """The page is written without importing the commands, and has the first lines of their own pages."""
    command = captionq.get_command(click.Context(captionq), name)
    assert command is not None
    assert command.get_short_help_str(80) == COMMANDS[name][1]
