"""The address of the database (`CAPTIONQ_DATABASE_URL`), checked before anything connects to it."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from jobs.errors import DatabaseAddressError
from jobs.errors.install_commands import command_for_extra

_SQLITE = ("sqlite", "sqlite+pysqlite")
#: psycopg is the driver of both.
_POSTGRES = ("postgresql", "postgresql+psycopg")
_FORM = (
    "Write postgresql+psycopg://user@host:5432/database, with special characters of the user name and the password "
    "percent-encoded: %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25 for %."
)


def parse_address(address: str) -> URL:
    """Parse the address of a database that captionq can use. Raises DatabaseAddressError, without the password."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # The text of the error may hold a part of the password.
        raise _unusable(_FORM) from None
    if url.drivername in _SQLITE:
        if url.database in (None, "", ":memory:"):
            raise _unusable("It names no file, and several processes use the database.")
    elif url.drivername not in _POSTGRES:
        raise _unusable(f"Only Postgres can be used, through psycopg. {_FORM}")
    return url


def missing_driver() -> DatabaseAddressError:
    """Return the error of an environment without the driver for Postgres."""
    return _unusable(f"Postgres needs an extra: {command_for_extra('postgres')}")


def _unusable(sentence: str) -> DatabaseAddressError:
    return DatabaseAddressError(f"CAPTIONQ_DATABASE_URL cannot be used. {sentence}")
