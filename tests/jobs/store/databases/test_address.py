"""The address of the database: what can be used, and what is said about the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.errors import DatabaseAddressError
from jobs.store.databases.address import parse_address
from jobs.store.store import Store

PASSWORD = "correct-horse"


@pytest.mark.parametrize(
    "address", ["postgresql://a@b/c", "postgresql+psycopg://a@b:5432/c?sslmode=require", "sqlite:////tmp/a%20b.db"]
)
def test_postgres_and_a_file_of_sqlite_can_be_used(address: str) -> None:
    """psycopg is SQLAlchemy's own choice for Postgres."""
    assert parse_address(address).get_backend_name() in ("postgresql", "sqlite")


@pytest.mark.parametrize(
    ("address", "way_out"),
    [
        (f"anna:{PASSWORD}@host/captionq", "Write postgresql+psycopg://"),
        (f"postgresql://anna:{PASSWORD}@host:port/captionq", "percent-encoded"),
        (f"postgres://anna:{PASSWORD}@host/captionq", "Write postgresql+psycopg://"),
        (f"postgresql+asyncpg://anna:{PASSWORD}@host/captionq", "through psycopg"),
        (f"mysql://anna:{PASSWORD}@host/captionq", "Only Postgres"),
        ("sqlite://", "names no file"),
    ],
)
def test_every_command_says_what_is_wrong_with_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, way_out: str
) -> None:
    """And shows no password."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CAPTIONQ_DATABASE_URL", address)
    for command in (["jobs", "list"], ["doctor"]):
        result = CliRunner().invoke(captionq, command)
        assert result.exit_code == 1
        assert "CAPTIONQ_DATABASE_URL cannot be used." in result.output
        assert way_out in result.output
        assert PASSWORD not in result.output
        assert "Traceback" not in result.output


def test_the_extra_for_postgres_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the first thing that a newcomer to several machines misses."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseAddressError, match=r"captionq\[postgres\]"):
        Store(Settings(data_dir=tmp_path, database_url="postgresql://a@b/c"))
