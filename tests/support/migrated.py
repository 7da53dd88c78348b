"""An SQLite file with all tables and no rows, made once in a test run: tests copy it, which is faster than all migrations."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.store.connection import open_database
from tests.support.shared_files import shared_folder


@cache
def migrated_file() -> Path:
    """Return the path of the file."""
    with shared_folder("migrated") as folder:
        settings = Settings(data_dir=folder, model="demo")
        if not (folder / "captionq.db").exists():
            open_database(settings).dispose()
        return folder / "captionq.db"


def copy_tables(settings: Settings) -> None:
    """Give a data folder that has no database one with all tables, if it is to have its database in SQLite."""
    place = settings.data_dir / "captionq.db"
    if settings.database_url is None and not place.exists():
        shutil.copyfile(migrated_file(), place)
