"""The output of native decoders, sent to the log: libtiff writes hundreds of lines about one bad file."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

logger = logging.getLogger("captionq.native")


@contextmanager
def native_stderr_to_log() -> Iterator[None]:
    """Redirect file descriptor 2 to the debug log during the block. Python's own `sys.stderr` still goes to the terminal.

    Libraries that call `write(2)` know only the descriptor, so a pipe replaces it for the whole process. A thread reads the pipe
    until the block ends.
    """
    sys.stderr.flush()
    original = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    python_stderr = sys.stderr
    handlers = _handlers_on(python_stderr)
    with os.fdopen(os.dup(original), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as terminal:
        sys.stderr = terminal
        for handler in handlers:
            handler.setStream(terminal)
        thread = threading.Thread(target=_log_lines, args=(reading,), name="native-stderr", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            thread.join()
            sys.stderr = python_stderr
            for handler in handlers:
                handler.setStream(python_stderr)


def _handlers_on(stream: object) -> list[logging.StreamHandler[TextIO]]:
    return [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]


def _log_lines(reading: int) -> None:
    with os.fdopen(reading, "r", encoding="utf-8", errors="backslashreplace") as lines:
        for line in lines:
            logger.debug("%s", line.rstrip())
