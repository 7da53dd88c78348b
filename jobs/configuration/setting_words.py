"""Words about settings for the person who sets them: the shape of a value, and the name that a mistyped variable meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

#: Shapes that the type does not tell.
_SHAPES = {
    "blob_url": "an absolute path of a shared folder, or s3://bucket/prefix",
    "path_map": "pairs of absolute folders such as /Volumes/Photos=/mnt/photos, separated by semicolons",
    "hours": "spans of hours such as 22-7 or 22:30-7,12-13",
    "keep_alive": "a length of time such as 30m, 0, or -1 for ever",
    "memory_budget": "a share of the memory (0.6 or 60%) or an amount (24GB)",
    "feature_cache": "an amount of room on the disk (10GB)",
    "api_keys": 'a JSON object such as {"laptop": "a-long-secret"}',
    "admin_keys": 'a JSON list of names of CAPTIONQ_API_KEYS such as ["laptop"]',
    "allowed_networks": 'a JSON list of networks such as ["192.168.1.0/24"]',
    "allowed_origins": 'a JSON list of origins such as ["http://localhost:3000"]',
    "pinned_models": 'a JSON list of models such as ["mlx-community/Qwen3-VL-4B-Instruct-4bit"]',
}
_BOUNDS = {Ge: ("ge", "at least"), Gt: ("gt", "more than"), Le: ("le", "at most"), Lt: ("lt", "less than")}


def shape_of(name: str, field: FieldInfo) -> str:
    """Say which values a setting takes, as the rest of "… must be": a whole number of at least 1 and at most 256."""
    if name in _SHAPES:
        return _SHAPES[name]
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)] or [field.annotation]
    if get_origin(field.annotation) is tuple and kinds[0] is Path:
        return 'a JSON list of folders such as ["/pictures"]'
    if bool in kinds:
        return "true or false"
    if int in kinds or float in kinds:
        return " of ".join(filter(None, ["a whole number" if int in kinds else "a number", _bounds(field.metadata)]))
    return "text"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say that a variable is not a setting, and which one it resembles."""
    close = difflib.get_close_matches(name.upper(), list(known), n=1, cutoff=0.8)
    return f"{name} is not a setting; did you mean {close[0]}?" if close else f"{name} is not a setting."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the known name that it resembles, if there is one."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _bounds(constraints: Iterable[Any]) -> str:
    found = [(_BOUNDS[type(one)], one) for one in constraints if type(one) in _BOUNDS]
    return " and ".join(f"{words} {getattr(one, name)}" for (name, words), one in found)
