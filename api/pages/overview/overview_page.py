"""`/`: the runs, the lanes and the workers, and `/live`: the same as events, whenever they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from starlette.concurrency import run_in_threadpool

from api.middleware.api_keys import CallerDep
from api.pages.interruptions import interruption
from api.pages.live_stream import with_beats
from api.pages.overview.queue_state import queue_state
from api.pages.overview.run_turns import turns_of
from api.pages.page_route import BrowserRoute
from api.pages.page_state import PageState, PageStateDep
from api.pages.run_state import Place, RunList
from api.pages.templates import page, render
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.streaming.sse import EventStream, event_bytes

router = APIRouter(include_in_schema=False)
_pages = APIRouter(include_in_schema=False, route_class=BrowserRoute)

#: Seconds between two looks at the runs.
LOOK_EVERY = 1.0


def get_place(before: Annotated[str, Query(pattern=r"^(\d{1,12}(\.\d{1,9})?,[\w-]{1,64})?$")] = "") -> Place | None:
    """Return the place in the list of runs that the address names; None: its beginning."""
    created_at, _, batch_id = before.partition(",")
    return (float(created_at), batch_id) if before else None


PlaceDep = Annotated[Place | None, Depends(get_place)]


@_pages.get("/")
def show_overview(resources: ResourcesDep, state: PageStateDep, caller: CallerDep, before: PlaceDep) -> Response:
    """Show the runs, newest first, the lanes and the workers."""
    shown = state.runs.newest(before)
    return page(
        "overview.html",
        runs=shown.runs,
        turns=_turns(shown, resources),
        queue=queue_state(resources, state.history),
        has_keys=bool(resources.settings.api_keys),
        notice=interruption(resources),
        before=_address(before),
        older=_address(shown.older),
    )


@router.get("/live")
async def follow_overview(
    resources: ResourcesDep, state: PageStateDep, caller: CallerDep, before: PlaceDep
) -> Response:
    """Follow the overview by server-sent events, each with the parts of the page that changed."""
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    events = with_beats(_changes(resources, state, before), partial(interruption, resources))
    return EventStream(events, at_end=at_end, error_name="failure")


async def _changes(resources: Resources, state: PageState, before: Place | None) -> AsyncIterator[bytes]:
    sent: dict[str, str] = {}
    while not resources.draining.is_set():
        parts = await run_in_threadpool(_parts, resources, state, before)
        changed = {name: html for name, html in parts.items() if sent.get(name) != html}
        if changed:
            sent = parts
            yield event_bytes({"parts": changed, "order": list(parts)}, event="parts")
        await asyncio.sleep(LOOK_EVERY)


def _parts(resources: Resources, state: PageState, before: Place | None) -> dict[str, str]:
    """Return the changing parts of the page by the names of their places; runs by their ids, newest first."""
    queue = queue_state(resources, state.history)
    parts = {name: render(f"parts/{name}.html", queue=queue) for name in ("lanes", "workers")}
    shown = state.runs.newest(before)
    turns = _turns(shown, resources)
    return parts | {run.id: render("parts/run_row.html", run=run, turn=turns.get(run.id)) for run in shown.runs}


def _turns(shown: RunList, resources: Resources) -> dict[str, int]:
    """Return how many pictures go before each run none of whose pictures is being captioned."""
    waiting = [run.id for run in shown.runs if run.counts["queued"] and not run.counts["running"]]
    return turns_of(waiting, store=resources.store, connection=resources.connection)


def _address(place: Place | None) -> str:
    """Write a place for the query of an address; empty: the beginning."""
    return "" if place is None else f"{place[0]!r},{place[1]}"


router.include_router(_pages)
