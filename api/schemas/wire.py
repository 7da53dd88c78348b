"""The base of every body that clients send."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

#: Most items of any list in a body. It bounds the time and memory of validation, before settings are consulted.
MAX_LIST_ITEMS = 10_000


class Wire(BaseModel):
    """A part of a body. Unknown fields and other types than documented are refused; absent and null mean the same."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
