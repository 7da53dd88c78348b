"""Tests of this folder run on both databases."""

from __future__ import annotations

import pytest

from tests.support.postgres import on_both_databases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test with a database on SQLite and on Postgres."""
    on_both_databases(metafunc)
