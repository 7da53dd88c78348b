"""Passwords in the addresses of databases and brokers: never shown to people, and never logged."""

from __future__ import annotations

import re

#: Stands in an address for a password.
MASK = "********"
# Up to the last `@`, because a password that should have been percent-encoded may hold any character.
_BEFORE_HOST = re.compile(r"(?<=://)([^:@/?]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&;][^=&;]*(?:pass|secret|token)[^=&;]*=)[^&;]*", re.IGNORECASE)


def without_password(url: str) -> str:
    """Return the address with a mask in the place of each password, for people to read."""
    return _PARAMETER.sub(rf"\1{MASK}", _BEFORE_HOST.sub(rf"\1:{MASK}@", url))
