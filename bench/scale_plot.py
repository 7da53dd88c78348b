"""The plot of `bench.scale`: lines over the number of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

_SCALE = 2
_WIDTH, _HEIGHT, _MARGIN, _LEFT = 430 * _SCALE, 270 * _SCALE, 28 * _SCALE, 64 * _SCALE
_INK, _FAINT, _GRID = (28, 32, 38), (106, 113, 122), (226, 229, 233)
_COLOURS = ((30, 110, 190), (214, 110, 30), (60, 150, 80), (140, 80, 170))


@dataclass(frozen=True)
class _Panel:
    title: str
    names: tuple[str, ...]


_PANELS = (
    _Panel("queued, rows/s by the clock", ("submit_rate",)),
    _Panel("queued, CPU ms a row", ("submit_cpu_ms_a_row",)),
    _Panel("answered by the stub, jobs/s", ("answered_a_second",)),
    _Panel("memory, MB: API, worker, Redis", ("api_mb", "worker_mb", "redis_mb")),
    _Panel("row to claim of urgent requests, s (p99)", ("claim_p99",)),
    _Panel("page of a list, ms", ("page_of_batch_ms",)),
)


def draw(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a panel for each figure, with a line for each database and number of workers."""
    image = Image.new("RGB", (2 * _WIDTH, 3 * _HEIGHT + 2 * _MARGIN), "white")
    pen = ImageDraw.Draw(image)
    teams = sorted({(run["database"], run["workers"]) for run in runs})
    for number, panel in enumerate(_PANELS):
        corner = (number % 2 * _WIDTH, number // 2 * _HEIGHT + 2 * _MARGIN)
        _panel(pen, corner, panel, runs, teams)
    for number, (database, workers) in enumerate(teams):
        place = (_MARGIN + number * 200 * _SCALE, _MARGIN)
        words = f"{database}, {workers} worker{'s' if workers > 1 else ''}"
        pen.text(place, words, _COLOURS[number % len(_COLOURS)], _font(14))
    image.save(path)


def _panel(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    panel: _Panel,
    runs: Sequence[Mapping[str, Any]],
    teams: Sequence[tuple[str, int]],
) -> None:
    x0, y0 = corner[0] + _LEFT, corner[1] + 2 * _MARGIN
    x1, y1 = corner[0] + _WIDTH - _MARGIN, corner[1] + _HEIGHT - 2 * _MARGIN
    pen.text((x0, corner[1] + _MARGIN // 2), panel.title, _INK, _font(13))
    values = [value for run in runs for name in panel.names if (value := _value(run, name)) is not None]
    sizes = sorted({run["rows"] for run in runs})
    if not values:
        return
    most, low, high = max(values) * 1.1 or 1.0, math.log10(sizes[0]), math.log10(sizes[-1])

    def at(rows: int, value: float) -> tuple[float, float]:
        share = (math.log10(rows) - low) / (high - low) if high > low else 0.5
        return x0 + share * (x1 - x0), y1 - value / most * (y1 - y0)

    for size in sizes:
        x, _ = at(size, 0)
        pen.line((x, y0, x, y1), _GRID, _SCALE)
        pen.text((x, y1 + 6 * _SCALE), f"{size:,}", _FAINT, _font(10), anchor="ma")
    for share in (0.0, 0.5, 1.0):
        y = y1 - share * (y1 - y0)
        pen.line((x0, y, x1, y), _GRID, _SCALE)
        pen.text((x0 - 6 * _SCALE, y), f"{share * most:,.3g}", _FAINT, _font(10), anchor="rm")
    for number, team in enumerate(teams):
        for name in panel.names:
            mine = sorted((run["rows"], _value(run, name)) for run in runs if (run["database"], run["workers"]) == team)
            points = [at(rows, value) for rows, value in mine if value is not None]
            colour = _COLOURS[number % len(_COLOURS)]
            pen.line(points, colour, 2 * _SCALE)
            for x, y in points:
                pen.ellipse((x - 3 * _SCALE, y - 3 * _SCALE, x + 3 * _SCALE, y + 3 * _SCALE), fill=colour)


def _value(run: Mapping[str, Any], name: str) -> float | None:
    if name == "submit_rate":
        return float(run["rows"]) / float(run["submit_seconds"])
    value = run.get(name)
    return None if value is None else float(value)


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points * _SCALE)
