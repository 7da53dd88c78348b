"""Console sessions of a Markdown page: their commands run in a shell, and their output is put into the page."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

#: A comment whose lines lay out the pictures of a page, before its first session.
_SETUP = re.compile(r"^<!-- setup\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
#: A command: its line, and the lines that continue it, as a shell shows them.
_COMMAND = re.compile(r"^\$ .*\n(?:> .*\n)*", re.MULTILINE)
#: A command that stays until its terminal is closed.
_SERVE = "captionq serve "
#: The home folder, the data folder and the server's address that pages show.
SHOWN_HOME = "/Users/me"
SHOWN_DATA = "/Users/me/Library/Application Support/captionq"
SHOWN_ADDRESS = "http://127.0.0.1:8484"
#: A line of every command with the built-in model; the pages say that it is left out.
LEFT_OUT = "The model 'demo' knows coloured shapes only. For photographs use --model.\n"
#: Figures that differ from run to run.
_FIGURES = (
    (re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE), "<time> "),
    (re.compile(r"\d+\.\d+ s( \(\d+\.\d images/s\))?"), "<seconds>"),
    (re.compile(r'("(?:queue|preprocess|prefill|decode|seconds)": )\d+\.\d+(e-\d+)?'), r"\1<seconds>"),
    (re.compile(r"\b(batch|job)_[0-9a-f]{21}\b"), r"<\1>"),
)


def rewritten(page: str, home: Path, environment: Mapping[str, str]) -> str:
    """Run the sessions of a page in an empty home folder, and return the page with their output.

    Output that differs only in figures such as seconds and ids stays as the page has it.
    """
    with closing(_Terminal(home, {**environment, "HOME": str(home)})) as terminal:
        for script in _SETUP.findall(page):
            subprocess.run(["bash", "-euc", script], cwd=home, env=terminal.environment, check=True)
        return _SESSION.sub(lambda session: terminal.play(session[0]), page)


class _Terminal:
    """A terminal in a home folder. A server that one of its commands starts runs until the terminal is closed."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._home = home
        #: What this machine prints, and what the pages show in its place.
        self._shown = {str(home): SHOWN_HOME}
        self._server: subprocess.Popen[str] | None = None

    def play(self, session: str) -> str:
        """Run the commands of a session, and return it with their output."""
        commands = list(_COMMAND.finditer(session))
        ends = [command.start() for command in commands[1:]] + [len(session)]
        assert commands, f"no command in: {session}"
        assert commands[0].start() == 0, f"text before the first command: {session}"
        played = ""
        for command, end in zip(commands, ends, strict=True):
            script = re.sub(r"^[$>] ", "", command[0], flags=re.MULTILINE)
            printed = self._serve(script) if script.startswith(_SERVE) else self._run(script)
            shown = session[command.end() : end]
            played += command[0] + (shown if _without_figures(shown) == _without_figures(printed) else printed)
        return played

    def close(self) -> None:
        """Stop the server, as Ctrl-C does."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.communicate(timeout=60)

    def _run(self, script: str) -> str:
        """Run a command, and return its output on standard output and standard error, as a terminal shows it."""
        for real, shown in self._shown.items():
            script = script.replace(shown, real) if shown == SHOWN_ADDRESS else script
        run = subprocess.run(
            ["bash", "-c", script],
            cwd=self._home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return self._as_shown(run.stdout)

    def _serve(self, script: str) -> str:
        """Start `captionq serve` at a free port, and return its first line, with the port and the folder of the pages."""
        self._server = subprocess.Popen(
            ["bash", "-c", f"exec {script.strip()} --port 0"],
            cwd=self._home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        found = re.search(r"(http://\S+)/v1", line)
        assert found is not None, line
        self._shown |= {found[1]: SHOWN_ADDRESS, self.environment["CAPTIONQ_DATA_DIR"]: SHOWN_DATA}
        return self._as_shown(line)

    def _as_shown(self, printed: str) -> str:
        for real, shown in self._shown.items():
            printed = printed.replace(real, shown)
        printed = re.sub(r" +$", "", printed.replace(LEFT_OUT, ""), flags=re.MULTILINE)
        return printed if printed.endswith("\n") or not printed else f"{printed}\n"


def _without_figures(text: str) -> str:
    for figure, name in _FIGURES:
        text = figure.sub(name, text)
    return text
