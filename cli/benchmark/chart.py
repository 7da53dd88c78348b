"""Bar charts on a white ground, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

#: Everything is drawn at this many pixels a point, for sharp displays.
SCALE = 2
WIDTH = 860 * SCALE
_MARGIN, _LABELS, _VALUES = 32 * SCALE, 230 * SCALE, 190 * SCALE
_BAR, _ROW = 30 * SCALE, 46 * SCALE
_INK, _FAINT, _GRID = (28, 32, 38), (106, 113, 122), (226, 229, 233)
_COLOURS = {"plain": (151, 160, 170), "ours": (30, 110, 190), "limit": (213, 222, 232)}


@dataclass(frozen=True)
class Bar:
    """A bar of the chart."""

    label: str
    value: float
    #: The text behind the bar: its value, in words.
    note: str
    #: `plain`, `ours` or `limit`.
    kind: str = "ours"


@dataclass(frozen=True)
class Bars:
    """A horizontal bar chart. All bars begin at nought and share one scale."""

    title: str
    subtitle: str
    bars: Sequence[Bar]
    footer: Sequence[str] = ()


def draw_bars(path: Path, title: str, subtitle: str, bars: Sequence[Bar], footer: Sequence[str]) -> None:
    """Write one chart as PNG."""
    draw_charts(path, [Bars(title, subtitle, bars, footer)])


def draw_charts(path: Path, charts: Sequence[Bars]) -> None:
    """Write charts as one PNG, one below the other."""
    drawn = [_drawn(chart) for chart in charts]
    image = Image.new("RGB", (WIDTH, sum(part.height for part in drawn)), "white")
    top = 0
    for part in drawn:
        image.paste(part, (0, top))
        top += part.height
    image.save(path)


def _drawn(chart: Bars) -> Image.Image:
    top = _MARGIN + 74 * SCALE
    height = top + len(chart.bars) * _ROW + 20 * SCALE + len(chart.footer) * 20 * SCALE + _MARGIN
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), chart.title, _INK, _font(22))
    draw.text((_MARGIN, _MARGIN + 34 * SCALE), chart.subtitle, _FAINT, _font(14))
    left = _MARGIN + _LABELS
    longest = WIDTH - left - _VALUES - _MARGIN
    most = max(bar.value for bar in chart.bars) or 1.0
    bottom = top + len(chart.bars) * _ROW
    draw.line((left, top, left, bottom), _GRID, SCALE)
    for number, bar in enumerate(chart.bars):
        y = top + number * _ROW + (_ROW - _BAR) // 2
        end = left + max(SCALE, round(longest * bar.value / most))
        draw.rectangle((left, y, end, y + _BAR), fill=_COLOURS[bar.kind])
        middle = y + _BAR // 2
        draw.text((left - 12 * SCALE, middle), bar.label, _INK, _font(15), anchor="rm")
        draw.text((end + 10 * SCALE, middle), bar.note, _INK, _font(15), anchor="lm")
    for number, line in enumerate(chart.footer):
        draw.text((_MARGIN, bottom + 20 * SCALE + number * 20 * SCALE), line, _FAINT, _font(12))
    return image


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points * SCALE)
