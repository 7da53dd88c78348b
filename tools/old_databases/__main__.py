"""Write the databases that are missing: `python -m tools.old_databases`. Those that are there stay as they are.

The tables of a new database are written each time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobs.store.databases.new_tables import SCRIPT
from tools.old_databases.dump import dump
from tools.old_databases.making import make_database, versions

FOLDER = Path(__file__).parents[2] / "tests/fixtures/databases"


def main() -> None:
    """Write a dump for each version of the tables."""
    for version in versions():
        target = FOLDER / f"{version}.sql"
        if target.exists():
            continue
        target.write_text(dump_of(version, with_rows=True))
    SCRIPT.write_text(dump_of(versions()[-1], with_rows=False))


def dump_of(version: str, *, with_rows: bool) -> str:
    """Return the dump of a database of this version."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "captionq.db")
        make_database(f"sqlite:///{database}", version, with_rows=with_rows)
        return dump(database)


if __name__ == "__main__":
    main()
