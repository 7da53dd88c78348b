"""An SVG of a terminal's screen: text in the reader's own monospaced font, in the colours of the screen."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

#: Rich's template without its fonts from the network. A character is 0.6 of its height wide in most monospaced fonts, and each
#: piece of text is stretched to its columns.
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
_ASPECT = 0.6


def drawn(screen: str, columns: int) -> str:
    """Return the SVG of a screen with ANSI codes."""
    console = Console(record=True, width=columns, file=io.StringIO(), highlight=False)
    console.print(Text.from_ansi(screen), soft_wrap=True)
    return console.export_svg(title="", code_format=_FORMAT, font_aspect_ratio=_ASPECT, unique_id="terminal")
