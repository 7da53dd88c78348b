"""`/`: the runs, the lanes and the workers, and `/live`: the same as events, whenever they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from api.middleware.api_keys import CallerDep
from api.pages.overview.queue_state import queue_state
from api.pages.page_route import BrowserRoute
from api.pages.page_state import PageState, PageStateDep
from api.pages.templates import page, render
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.streaming.sse import HEARTBEAT, HEARTBEAT_COMMENT, EventStream, event_bytes

router = APIRouter(include_in_schema=False)
_pages = APIRouter(include_in_schema=False, route_class=BrowserRoute)

#: Seconds between two looks at the runs.
LOOK_EVERY = 1.0


@_pages.get("/")
def show_overview(resources: ResourcesDep, state: PageStateDep, caller: CallerDep) -> Response:
    """Show the runs, newest first, the lanes and the workers."""
    return page(
        "overview.html",
        runs=state.runs.newest(),
        queue=queue_state(resources),
        has_keys=bool(resources.settings.api_keys),
    )


@router.get("/live")
async def follow_overview(resources: ResourcesDep, state: PageStateDep, caller: CallerDep) -> Response:
    """Follow the overview by server-sent events, each with the parts of the page that changed."""
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    return EventStream(_changes(resources, state), at_end=at_end, error_name="failure")


async def _changes(resources: Resources, state: PageState) -> AsyncIterator[bytes]:
    sent: dict[str, str] = {}
    sent_at = 0.0
    while not resources.draining.is_set():
        parts = await run_in_threadpool(_parts, resources, state)
        changed = {name: html for name, html in parts.items() if sent.get(name) != html}
        if changed:
            sent, sent_at = parts, time.monotonic()
            yield event_bytes({"parts": changed, "order": list(parts)}, event="parts")
        elif time.monotonic() - sent_at > HEARTBEAT:
            sent_at = time.monotonic()
            yield HEARTBEAT_COMMENT
        await asyncio.sleep(LOOK_EVERY)


def _parts(resources: Resources, state: PageState) -> dict[str, str]:
    """Return the changing parts of the page by the names of their places; runs by their ids, newest first."""
    parts = {"queue": render("parts/queue.html", queue=queue_state(resources))}
    return parts | {run.id: render("parts/run_row.html", run=run) for run in state.runs.newest()}


router.include_router(_pages)
