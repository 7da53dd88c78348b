"""Two hundred streams at once."""

from __future__ import annotations

import asyncio

import pytest

from bench.streams import ask_all
from jobs.configuration.settings import Settings
from tests.support.scenes import draw_many
from tests.support.serving import serving


@pytest.mark.timeout(300)
def test_two_hundred_streams_at_once_are_neither_lost_nor_mixed_up(settings: Settings) -> None:
    """Each stream is about a picture of its own and gets that picture's caption."""
    pictures = draw_many(200)
    # Captions differ, so two answers that were mixed up would show.
    assert len({drawn.caption for drawn in pictures}) > 180
    with serving(settings) as served:
        answers = asyncio.run(ask_all(served.url, pictures, at_a_time=200))
    assert [answer.text for answer in answers] == [drawn.caption for drawn in pictures]
