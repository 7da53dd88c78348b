"""Upgrades: databases of all versions of the tables, with rows of their time, are migrated and lose nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.store.connection import reading
from jobs.store.databases.new_tables import SCRIPT
from jobs.store.databases.schema_version import SCHEMA_VERSION, is_older
from jobs.store.pictures.search import found_ids
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.old_databases import FOLDER, bring_old_database, content_of, version_of
from tests.support.postgres import only_postgres, only_sqlite
from tools.old_databases.__main__ import dump_of
from tools.old_databases.dump import dump
from tools.old_databases.making import make_database, versions
from tools.old_databases.rows import rows_at

#: The version that is tried on Postgres, too: it has most tables, and neither counts nor words.
ON_POSTGRES = "0015"
#: Tables whose rows migrations change.
_CHANGED = ("alembic_version", "sqlite_stat1")


def test_each_version_has_a_database() -> None:
    """`python -m tools.old_databases` writes the missing one."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == versions()


@only_sqlite
@pytest.mark.no_tables
def test_a_new_database_has_what_all_migrations_make(settings: Settings) -> None:
    """Its tables are made by one script. `python -m tools.old_databases` writes the script when a migration is added."""
    with closing(Store(settings)):
        made = dump(settings.data_dir / "captionq.db")
    assert made == SCRIPT.read_text() == dump_of(SCHEMA_VERSION, with_rows=False)


@only_sqlite
@pytest.mark.no_tables
@pytest.mark.parametrize("version", versions())
def test_every_row_and_every_value_stays(settings: Settings, migrated_file: Path, version: str) -> None:
    """The tables are those of a new database, counts and words are those of the rows, and each request is read."""
    file = bring_old_database(settings, version)
    before = content_of(file)
    assert is_older(file) == (version != SCHEMA_VERSION)
    with closing(Store(settings)) as store:
        check_jobs(store, version)
    assert version_of(file) == SCHEMA_VERSION
    assert not is_older(file)
    assert schema_of(file) == schema_of(migrated_file)
    after = content_of(file)
    for name, rows in before.items():
        if name not in _CHANGED:
            columns = rows[0] if rows else {}
            kept = [{column: row[column] for column in columns} for row in after[name]]
            assert sorted(kept, key=str) == sorted(rows, key=str)


@only_postgres
@pytest.mark.no_tables
def test_postgres_keeps_every_row_and_every_value(settings: Settings) -> None:
    """The same rows, written to tables that the migrations of Postgres made."""
    make_database(settings.database, ON_POSTGRES)
    there = columns_of(ON_POSTGRES)
    with closing(Store(settings)) as store:
        check_jobs(store, ON_POSTGRES)
        with reading(store.engine) as connection:
            for name, rows in rows_at(ON_POSTGRES).items():
                found = connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().all() if name in there else []
                for row in rows if found else []:
                    known = {column: value for column, value in row.items() if column in there[name]}
                    assert known in [{column: one[column] for column in known} for one in found]


def columns_of(version: str) -> dict[str, set[str]]:
    """Return the columns of each table that has rows in a version, as its SQLite database has them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((FOLDER / f"{version}.sql").read_text())
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: {row[1] for row in connection.execute(f"PRAGMA table_info('{name}')")} for name in names}


def schema_of(file: Path) -> dict[str, set[str]]:
    """Return the columns and keys of each table, and the names of its indexes and triggers."""
    with closing(sqlite3.connect(file)) as connection:
        found: dict[str, set[str]] = {}
        for kind, name, of in connection.execute("SELECT type, name, tbl_name FROM sqlite_schema").fetchall():
            found.setdefault(of, set()).add(f"{kind} {name}")
        for name, parts in found.items():
            parts |= {str(row[1:]) for row in connection.execute(f"PRAGMA table_info('{name}')")}
            parts |= {str(row[2:]) for row in connection.execute(f"PRAGMA foreign_key_list('{name}')")}
    return found


def check_jobs(store: Store, version: str) -> None:
    """Check counts, requests and words of the jobs of a migrated database."""
    rows = rows_at(version)["job"]
    assert store.counts() == dict.fromkeys(JobStatus, 0) | Counter(JobStatus(row["status"]) for row in rows)
    for row in rows:
        job = store.job(row["id"])
        assert job.parsed_request().digest == row["digest"]
        assert (job.status, job.text, job.error_code) == (row["status"], row.get("text"), row.get("error_code"))
    with reading(store.engine) as connection:
        search = found_ids(connection, "large red")
        assert search is not None
        found = set(connection.execute(search).scalars())
    assert found == {row["id"] for row in rows if "text" in row and row["batch_id"] is not None}
