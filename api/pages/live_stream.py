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


async def with_beats(events: AsyncIterator[bytes], notice: Callable[[], str]) -> AsyncIterator[bytes]:
    """Yield the events, and a beat every few seconds.

    Args:
        notice: returns the sentence above the page; empty: none is needed. Called in a thread.
    """
    following: asyncio.Task[bytes | None] | None = None
    due = time.monotonic()
    try:
        while True:
            if time.monotonic() >= due:
                yield event_bytes({"notice": await run_in_threadpool(notice)}, event="beat")
                due = time.monotonic() + BEAT_EVERY
            following = following or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait({following}, timeout=max(0.0, due - time.monotonic()))
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
