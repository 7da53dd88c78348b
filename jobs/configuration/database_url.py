"""The address of a database, as the settings take it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_FORM = re.compile(r"(?:sqlite:///|postgresql(?:\+psycopg)?://).+")


def checked_database_url(url: str) -> str:
    """Return the address. Raises ValueError for one that leads to no database; its sentence has no password."""
    try:
        is_known = _FORM.fullmatch(url) is not None and (urlsplit(url).port or 0) >= 0
    except ValueError:
        # No number stands where the port belongs.
        is_known = False
    if not is_known:
        raise ValueError(
            "write postgresql+psycopg://user@host:5432/database, with special characters of a password percent-encoded "
            "(%40 for @, %2F for /), or sqlite:////path/captionq.db"
        )
    return url
