"""What every part of a request has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of a request; unknown fields are refused, so that a misspelt one is not silently ignored."""

    # By alias: a stored request has OpenAI's names.
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)
