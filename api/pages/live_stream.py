"""The events of live pages, with regular beats: by these a page notices a lost connection, and says who is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from api.streaming.sse import event_bytes

#: Seconds between two beats. `static/events.js` takes a connection for lost after some missing beats.
BEAT_EVERY = 3.0
#: Seconds between two looks at the processes: a beat with another sentence is sent at once.
LOOK_EVERY = 0.5


async def with_beats(events: AsyncIterator[bytes], notice: Callable[[], str]) -> AsyncIterator[bytes]:
    """Yield the events, and a beat every few seconds and whenever its sentence changes.

    Args:
        notice: returns the sentence above the page; empty: none is needed. Called in a thread.
    """
    following: asyncio.Task[bytes | None] | None = None
    said: str | None = None
    beat_at = look_at = time.monotonic()
    try:
        while True:
            if time.monotonic() >= look_at:
                sentence = await run_in_threadpool(notice)
                look_at = time.monotonic() + LOOK_EVERY
                if sentence != said or time.monotonic() >= beat_at:
                    said, beat_at = sentence, time.monotonic() + BEAT_EVERY
                    yield event_bytes({"notice": sentence}, event="beat")
            following = following or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait({following}, timeout=max(0.0, look_at - time.monotonic()))
            if done:
                event, following = following.result(), None
                if event is None:
                    return
                yield event
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    """Return the next event; None: there are no more."""
    return await anext(events, None)
