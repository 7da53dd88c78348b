"""A terminal of tmux: commands are typed into it, and its screen is read with its colours."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

COLUMNS = 80
LINES = 40
#: Seconds after which a screen that was waited for is given up.
PATIENCE = 120.0
_PAUSE = 0.05


class Screen:
    """A shell in a terminal of its own. Use it as a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        # A server that is ending holds its socket for a moment.
        self._socket = folder / f"tmux-{secrets.token_hex(4)}"
        self._folder = folder
        self._environment = {**os.environ, **environment, "PS1": "$ ", "BASH_SILENCE_DEPRECATION_WARNING": "1"}

    def __enter__(self) -> Screen:
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        shell = ["bash", "--norc", "--noprofile"]
        self._tmux("-f", os.devnull, "new-session", "-d", *size, "-c", str(self._folder), *shell)
        self._tmux("set-option", "-g", "default-terminal", "xterm-256color")
        self._tmux("set-option", "-g", "status", "off")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def type(self, line: str) -> None:
        """Type a line, and Return."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def wait(self, shows: Callable[[str], bool], what: str) -> None:
        """Wait until the text of the screen is as wanted. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while not shows(self._tmux("capture-pane", "-p")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}; the screen is:\n{self._tmux('capture-pane', '-p')}")
            time.sleep(_PAUSE)

    def read(self) -> str:
        """Return the screen with its ANSI codes, without the empty lines at its end."""
        return self._tmux("capture-pane", "-e", "-p").rstrip("\n")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, env=self._environment, check=True, text=True, stdout=subprocess.PIPE).stdout
