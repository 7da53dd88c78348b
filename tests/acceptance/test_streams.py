"""Many streams at once."""

from __future__ import annotations

import asyncio
import os

import pytest

from bench.streams import ask_all
from jobs.configuration.settings import Settings
from tests.support.scenes import draw_many
from tests.support.serving import serving

#: Streams that are open at the same time: more than any batch has slots. `make streams` opens 200.
STREAMS = int(os.environ.get("CAPTIONQ_TEST_STREAMS", "32"))


@pytest.mark.timeout(300)
def test_many_streams_at_once_are_neither_lost_nor_mixed_up(settings: Settings) -> None:
    """Each stream is about a picture of its own and gets that picture's caption."""
    pictures = draw_many(STREAMS)
    # Captions differ, so two answers that were mixed up would show.
    assert len({drawn.caption for drawn in pictures}) > 0.9 * STREAMS
    with serving(settings) as served:
        answers = asyncio.run(ask_all(served.url, pictures, at_a_time=STREAMS))
    assert [answer.text for answer in answers] == [drawn.caption for drawn in pictures]
