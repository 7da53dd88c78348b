"""Whether the database takes changes just now: there is room on its disk, and no other program has locked it."""

from __future__ import annotations

import shutil

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from jobs.configuration.settings import Settings
from jobs.errors import DiskFullError
from jobs.errors.database_faults import database_error
from jobs.store.connection import place_of, writing

#: Free bytes below which the disk counts as full: the database, the broker and the log would fail one after the other.
LEAST_FREE = 1_000_000
#: Seconds that the check of the lock waits for other writers. Their turns take some tens of milliseconds, but writers do not
#: queue up: on a disk that others keep busy, one in a hundred waited for more than a second.
TURN_SECONDS = 3.0


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


def check_turn(engine: Engine, settings: Settings) -> None:
    """Check that a writer gets its turn. Nothing is written. Raises DatabaseError."""
    try:
        with writing(engine, durable=False, wait=TURN_SECONDS):
            pass
    except DBAPIError as error:
        raise database_error(error, place_of(settings)) from error
