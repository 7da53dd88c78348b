"""The signal handlers of a test process that runs workers itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator


def own_signals() -> Iterator[None]:
    """Restore the signal handlers that rq replaces: a fixture."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
