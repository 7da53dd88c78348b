"""The `Idempotency-Key` header: a repeated request gets the jobs or files that the first one made."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header

from api.middleware.api_keys import Caller

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A key of your choice. A repeated request with the same key and body returns the result of the first.",
    ),
]


def scoped_key(key: str | None, caller: Caller, kind: str) -> str | None:
    """Return the key that is stored: two callers, or two kinds of things, never share one."""
    return None if key is None else hashlib.sha256("\0".join((caller.name, kind, key)).encode()).hexdigest()
