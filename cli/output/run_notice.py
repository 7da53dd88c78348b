"""A notification of the desktop when a long run has ended."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from jobs.safe_text import safe_text

#: Seconds after which a run is long: a person may have turned to something else.
LONG_RUN = 180.0
#: macOS' own program.
OSASCRIPT = Path("/usr/bin/osascript")
#: The text is an argument of the script, never a part of it: names of folders may hold anything.
_SCRIPT = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")
_TITLE = "captionq"
#: Seconds that the program may take.
_PROGRAM_SECONDS = 5.0


class RunNotice:
    """The notification at the end of one run."""

    def __init__(self, wished: bool | None) -> None:
        """`wished`: True: also after a short run; False: never; None: after a long run, if this desktop has notifications."""
        self._wished = wished
        self._begun = time.monotonic()

    def send(self, text: str) -> None:
        """Show the text, if it is wished. If it cannot be shown, that is said only to a person who asked for it."""
        long = time.monotonic() - self._begun >= LONG_RUN
        if self._wished is False or not (self._wished or long):
            return
        command = notify_command(safe_text(text))
        if command is not None and _runs(command):
            return
        if self._wished:
            click.echo("This desktop shows no notification: osascript or notify-send is missing or failed.", err=True)


def notify_command(text: str, platform: str = sys.platform) -> Sequence[str] | None:
    """Return the command that shows a notification; None: there is no desktop, as over ssh, or no program for it."""
    if "SSH_CONNECTION" in os.environ:
        return None
    if platform == "darwin":
        lines = [part for line in _SCRIPT for part in ("-e", line)]
        return [str(OSASCRIPT), *lines, _TITLE, text] if OSASCRIPT.exists() else None
    program = shutil.which("notify-send")
    if program is None or not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return None
    # Desktops may read the text as markup.
    return [program, "--app-name=captionq", "--", _TITLE, html.escape(text, quote=False)]


def _runs(command: Sequence[str]) -> bool:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROGRAM_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
