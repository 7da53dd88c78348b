"""The end of the terminal that a process runs in (SIGHUP): the process stops in order instead of dying at once."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from types import FrameType

#: Standard input, output and error.
_STANDARD = (0, 1, 2)


def on_hang_up(stop: Callable[[int, FrameType | None], object]) -> None:
    """Call `stop` when the terminal closes, unless the process was told to outlive it (`nohup`)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return

    def hung_up(number: int, frame: FrameType | None) -> None:
        _leave_terminal()
        stop(number, frame)

    signal.signal(signal.SIGHUP, hung_up)


def _leave_terminal() -> None:
    """Let everything that is still printed go nowhere: each write to the closed terminal would be an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in _STANDARD:
        # A closed terminal does not call itself a terminal any more.
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
