"""The core of the contestants, and the cores of the client. Only Linux can tie a process to a core."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def leave_to_contestants(core: int | None) -> None:
    """Keep this process, the client, off the contestants' core, if there is another."""
    if core is not None:
        _require_linux()
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {core} or {core})


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Give processes that are started in the block this core only; None: they get all cores of this process."""
    if core is None:
        yield
        return
    _require_linux()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _require_linux() -> None:
    if sys.platform != "linux":
        raise SystemExit("--core needs Linux: elsewhere a process cannot be tied to a core.")
