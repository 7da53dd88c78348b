"""The version of the tables. Cheap to import: a command looks at the file before it imports SQLAlchemy."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

#: The newest migration in `migrations/versions`; a test checks this.
SCHEMA_VERSION = "0020"


def is_older(file: Path) -> bool:
    """Return whether an older version of captionq has written the SQLite file, and its tables are to be migrated."""
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        # Whoever opens the database reports its faults.
        return False
    return found is not None and found[0] < SCHEMA_VERSION
