"""The names of a request's parameters that are ignored: a header tells them, and strict servers refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from urllib.parse import quote

from fastapi import Request, Response

from api.schemas.tolerance import Tolerant
from jobs.configuration.settings import Settings
from jobs.errors import UnknownParameterError

HEADER = "x-captionq-ignored"
#: The header in the OpenAPI document.
DESCRIBED = {HEADER: {"schema": {"type": "string"}, "description": "Parameters that were ignored, separated by commas"}}
#: Names that the header tells at most, and characters of each.
MAX_NAMES, MAX_NAME = 50, 100


def check_ignored(body: Tolerant | Sequence[Tolerant], request: Request, settings: Settings) -> None:
    """Find the ignored parameters, for `add_ignored_header`. Raises UnknownParameterError if the settings are strict."""
    if isinstance(body, Tolerant):
        found = body.ignored()
    else:
        found = (name for number, one in enumerate(body) for name in one.ignored(f"{number}."))
    names = list(islice(found, MAX_NAMES))
    _refuse(names, settings)
    request.scope["captionq.ignored"] = names


def refuse_ignored(body: Tolerant, settings: Settings) -> None:
    """Raise UnknownParameterError for the first ignored parameter if the settings are strict."""
    _refuse(list(islice(body.ignored(), 1)), settings)


def add_ignored_header(response: Response, request: Request) -> None:
    """Tell the client which parameters of its request were ignored."""
    if names := request.scope.get("captionq.ignored"):
        # Names are the client's own text: quoted, they can neither end the header nor separate names.
        # A header that ends with white space, or is empty, would break the response.
        response.headers[HEADER] = ", ".join(quote(name[:MAX_NAME], safe=" ").strip() or '""' for name in names)


def _refuse(names: Sequence[str], settings: Settings) -> None:
    if names and settings.strict:
        raise UnknownParameterError(f"Unknown parameter '{names[0]}' (CAPTIONQ_STRICT is set).", names[0])
