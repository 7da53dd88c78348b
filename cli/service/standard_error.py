"""The file that launchd writes the service's standard error to. launchd does not rotate it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from cli.service.definition import error_file
from jobs.configuration.settings import Settings

#: Bytes from which on the file is emptied at a start of the service.
TRIM_FROM = 1_000_000


def trim_standard_error(settings: Settings) -> None:
    """Empty the service's file if it is large and this process' standard error. No other file is touched."""
    with suppress(OSError, ValueError):
        descriptor = sys.stderr.fileno()
        status = os.fstat(descriptor)
        if status.st_size > TRIM_FROM and os.path.samestat(status, error_file(settings).stat()):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
