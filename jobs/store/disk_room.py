"""Room on the disk of the data folder: without any, nothing can be queued."""

from __future__ import annotations

import shutil

from jobs.configuration.settings import Settings
from jobs.errors import DiskFullError

#: Free bytes below which the disk counts as full: the database, the broker and the log would fail one after the other.
LEAST_FREE = 1_000_000


def check_room(settings: Settings) -> None:
    """Check that the disk of the data folder has room. Raises DiskFullError."""
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError:
        # The database says what is wrong with the folder.
        return
    if free < LEAST_FREE:
        raise DiskFullError(
            f"The disk of {settings.data_dir} is full. Free some space: what is done is kept, and the rest goes on."
        )
