"""Names of models that a client of the API may have downloaded: names on Hugging Face, and never a path."""

from __future__ import annotations

import re

from jobs.errors import ModelNotFoundError
from jobs.models.adapters import split_name
from jobs.models.model_info import built_in_models
from jobs.safe_text import safe_text

#: A name on the hub. The hub's client allows no two dashes or dots in a row.
_HUB_ID = re.compile(
    r"(?!.*(?:--|\.\.))[a-z0-9_](?:[\w.-]{0,94}[a-z0-9_])?/[a-z0-9_](?:[\w.-]{0,94}[a-z0-9_])?", re.A | re.I
)
#: Most characters of a name that an error quotes.
_QUOTED = 200


def check_pull_name(name: str) -> None:
    """Check that a model, and its adapter, can be downloaded by this name. Raises ModelNotFoundError."""
    model, adapter = split_name(name)
    if not (_HUB_ID.fullmatch(model) or model in built_in_models()) or (adapter and not _HUB_ID.fullmatch(adapter)):
        raise ModelNotFoundError(
            f"There is no model '{safe_text(name[:_QUOTED])}' to download. Name one of Hugging Face, such as owner/name."
        )
