"""Ids of runs for a shell that completes them: read with the standard library only, within milliseconds."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import platformdirs

from jobs.configuration.config_file import read_table
from jobs.errors import SettingsError

#: Seconds to wait for a locked database.
PATIENCE = 0.2


def newest_runs(count: int) -> dict[str, str]:
    """Return the newest runs and their descriptions; none if the database is another server's, or cannot be read."""
    try:
        file = _database_file()
        if file is None:
            return {}
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as database:
            rows = database.execute(
                "SELECT id, description FROM batch WHERE kind <> 'sample' ORDER BY created_at DESC, id DESC LIMIT ?",
                (count,),
            )
            return {str(run): str(description) for run, description in rows}
    except (sqlite3.Error, SettingsError, OSError):
        return {}


def _database_file() -> Path | None:
    """Return the file of the database, as the settings name it; None: it is another database."""
    in_file = read_table("settings")
    if os.environ.get("CAPTIONQ_DATABASE_URL") or in_file.get("database_url"):
        return None
    folder = os.environ.get("CAPTIONQ_DATA_DIR") or in_file.get("data_dir")
    data = Path(str(folder)).expanduser() if folder else platformdirs.user_data_path("captionq", appauthor=False)
    return data / "captionq.db"
