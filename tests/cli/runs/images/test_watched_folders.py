"""Watched folders: what a person is told while nothing comes."""

from __future__ import annotations

import pytest

from cli.runs.images.watched_folders import waiting_line


@pytest.mark.parametrize(
    ("captioned", "failed", "line"),
    [
        (0, 0, "Watching for new images. To stop, press Ctrl-C."),
        (1200, 0, "1,200 captioned so far. Watching for new images. To stop, press Ctrl-C."),
        (3, 1, "3 captioned, 1 failed so far. Watching for new images. To stop, press Ctrl-C."),
    ],
)
def test_the_line_tells_what_was_done(captioned: int, failed: int, line: str) -> None:
    """Without it, all lines of a long watch would be the same."""
    assert waiting_line(captioned, failed) == line
