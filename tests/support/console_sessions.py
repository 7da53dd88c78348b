"""Console sessions of a Markdown page: their commands run in a shell, and their output is put into the page."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: A comment whose lines lay out the pictures of a page, before its first session.
_SETUP = re.compile(r"^<!-- setup\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
#: A command: its line, and the lines that continue it, as a shell shows them.
_COMMAND = re.compile(r"^\$ .*\n(?:> .*\n)*", re.MULTILINE)
#: The home folder that pages show.
SHOWN_HOME = "/Users/me"
#: A line of every command with the built-in model; the pages say that it is left out.
LEFT_OUT = "The model 'demo' knows coloured shapes only. For photographs use --model.\n"
#: Figures that differ from run to run.
_FIGURES = (
    (re.compile(r"\d+\.\d+ s( \(\d+\.\d images/s\))?"), "<seconds>"),
    (re.compile(r'("(?:queue|preprocess|prefill|decode|seconds)": )\d+\.\d+(e-\d+)?'), r"\1<seconds>"),
    (re.compile(r"\b(batch|job)_[0-9a-f]{21}\b"), r"<\1>"),
)


def rewritten(page: str, home: Path, environment: Mapping[str, str]) -> str:
    """Run the sessions of a page in an empty home folder, and return the page with their output.

    Output that differs only in figures such as seconds and ids stays as the page has it.
    """
    environment = {**environment, "HOME": str(home)}
    for script in _SETUP.findall(page):
        subprocess.run(["bash", "-euc", script], cwd=home, env=environment, check=True)
    return _SESSION.sub(lambda session: _played(session[0], home, environment), page)


def _played(session: str, home: Path, environment: Mapping[str, str]) -> str:
    commands = list(_COMMAND.finditer(session))
    ends = [command.start() for command in commands[1:]] + [len(session)]
    assert commands, f"no command in: {session}"
    assert commands[0].start() == 0, f"text before the first command: {session}"
    played = ""
    for command, end in zip(commands, ends, strict=True):
        shown, printed = session[command.end() : end], _output(command[0], home, environment)
        played += command[0] + (shown if _without_figures(shown) == _without_figures(printed) else printed)
    return played


def _output(command: str, home: Path, environment: Mapping[str, str]) -> str:
    """Run a command, and return its output on standard output and standard error, as a terminal shows it."""
    script = re.sub(r"^[$>] ", "", command, flags=re.MULTILINE)
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    printed = run.stdout.replace(LEFT_OUT, "").replace(os.fspath(home), SHOWN_HOME)
    printed = re.sub(r" +$", "", printed, flags=re.MULTILINE)
    return printed if printed.endswith("\n") or not printed else f"{printed}\n"


def _without_figures(text: str) -> str:
    for figure, name in _FIGURES:
        text = figure.sub(name, text)
    return text
