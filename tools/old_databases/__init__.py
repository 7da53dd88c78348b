"""Small databases of all versions of the tables, for tests of upgrades (`tests/fixtures/databases/`)."""
