"""The pixels that a model's processor takes, as its configuration says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILES = ("preprocessor_config.json", "processor_config.json")
#: Edges of `size` from which on they are numbers of pixels of the area: Qwen's processors call them edges, too.
_AREA_FROM = 10_000


@dataclass(frozen=True)
class PixelLimits:
    """The area of the pictures that a model sees; None: the configuration does not say."""

    least: int | None = None
    most: int | None = None


def pixel_limits(folder: Path) -> PixelLimits:
    """Return the limits of the processor in a model's folder."""
    config = _config_in(folder)
    size = config.get("size")
    size = size if isinstance(size, dict) else {}
    if (width := _whole(size.get("width"))) and (height := _whole(size.get("height"))):
        return PixelLimits(width * height, width * height)
    least, most = _whole(size.get("shortest_edge")), _whole(size.get("longest_edge"))
    return PixelLimits(
        _whole(config.get("min_pixels")) or (least if least and least >= _AREA_FROM else None),
        _whole(config.get("max_pixels")) or (most if most and most >= _AREA_FROM else None),
    )


def _config_in(folder: Path) -> dict[str, Any]:
    for name in _FILES:
        try:
            config = json.loads((folder / name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(config, dict):
            nested = config.get("image_processor")
            return nested if isinstance(nested, dict) else config
    return {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
