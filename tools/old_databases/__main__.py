"""Write the databases that are missing: `python -m tools.old_databases`. Those that are there stay as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools.old_databases.dump import dump
from tools.old_databases.making import make_database, versions

FOLDER = Path(__file__).parents[2] / "tests/fixtures/databases"


def main() -> None:
    """Write a dump for each version of the tables."""
    for version in versions():
        target = FOLDER / f"{version}.sql"
        if target.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder, "captionq.db")
            make_database(f"sqlite:///{database}", version)
            target.write_text(dump(database))


if __name__ == "__main__":
    main()
