"""The plot of a worker's batch: the outline of an area in an SVG, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.overview.batch_history import LOOK_EVERY, LOOKS_KEPT

#: Size of the plot in units of its own. A look is two units wide.
WIDTH, HEIGHT = 2 * LOOKS_KEPT, 48


@dataclass(frozen=True)
class BatchPlot:
    """The sequences in a batch over the last minutes."""

    #: Points of the upper edge, from the oldest look to now, and of the area below the edge.
    edge: str
    area: str
    words: str
    width: int = WIDTH
    height: int = HEIGHT
    minutes: int = round(LOOKS_KEPT * LOOK_EVERY / 60)


def batch_plot(looks: Sequence[tuple[int, int, int]]) -> BatchPlot:
    """Draw the looks: how many looks ago each was, its sequences and its slots. Moments without a look count as empty."""
    top = max((slots for _, _, slots in looks), default=0) or 1
    rows = {ago: min(count, top) for ago, count, _ in looks}
    heights = [rows.get(ago, 0) for ago in range(LOOKS_KEPT, -1, -1)]
    # Only corners are drawn, so that the plot of a batch that does not change stays the same text.
    corners = [place for place in range(len(heights)) if _is_corner(heights, place)]
    edge = " ".join(f"{2 * place},{_y(heights[place], top)}" for place in corners)
    words = (
        f"Sequences in the batch: now {heights[-1]}, at most {max(heights)} of {top} slots in the last "
        f"{BatchPlot.minutes} minutes"
    )
    return BatchPlot(edge, f"0,{HEIGHT} {edge} {WIDTH},{HEIGHT}", words)


def _is_corner(heights: Sequence[int], place: int) -> bool:
    before, after = heights[max(0, place - 1)], heights[min(len(heights) - 1, place + 1)]
    return place in (0, len(heights) - 1) or not before == heights[place] == after


def _y(rows: int, top: int) -> str:
    # The line is drawn around its points: a margin of one unit keeps it within the plot.
    return f"{HEIGHT - 1 - (HEIGHT - 2) * rows / top:g}"
