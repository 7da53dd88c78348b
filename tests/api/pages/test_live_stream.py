"""Beats between the events of a live page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from api.pages import live_stream
from api.pages.live_stream import with_beats


def test_beats_come_while_events_do_not_and_no_event_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first beat comes at once, for a page that was opened while a process is away."""
    monkeypatch.setattr(live_stream, "BEAT_EVERY", 0.01)
    monkeypatch.setattr(live_stream, "LOOK_EVERY", 0.01)
    closed = []

    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(0.1)
            yield b"two"
        finally:
            closed.append(True)

    async def read() -> list[bytes]:
        return [event async for event in with_beats(events(), lambda: "No worker.")]

    told = asyncio.run(read())
    beats = [event for event in told if event.startswith(b"event: beat")]
    assert told[0] == beats[0]
    assert b'{"notice":"No worker."}' in beats[0]
    assert len(beats) > 2
    assert [event for event in told if event not in beats] == [b"one", b"two"]
    assert closed


def test_a_changed_sentence_is_told_before_the_next_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may be back before a regular beat is due, and the page should have said why pictures waited."""
    monkeypatch.setattr(live_stream, "LOOK_EVERY", 0.01)
    sentences = iter(["", "", "No worker.", "No worker.", ""])

    async def events() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.3)
        yield b"late"

    async def read() -> list[bytes]:
        return [event async for event in with_beats(events(), lambda: next(sentences, ""))]

    beats = asyncio.run(read())[:-1]
    assert [json.loads(beat.split(b"data: ")[1])["notice"] for beat in beats] == ["", "No worker.", ""]


def test_a_client_that_leaves_ends_the_events() -> None:
    """The wait for the next event is ended too."""
    ended = []

    async def events() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b"late"
        finally:
            ended.append(True)

    async def leave() -> None:
        stream = with_beats(events(), lambda: "")
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(leave())
    assert ended
