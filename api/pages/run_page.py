"""`/runs/{id}`: one run with its pictures, its events, and the buttons that cancel and retry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.pages.interruptions import interruption
from api.pages.live_stream import with_beats
from api.pages.page_route import PageRoute
from api.pages.page_state import PageState, PageStateDep
from api.pages.pictures.picture_view import picture_view
from api.pages.run_changes import cancel_run, pause_run, resume_run, retry_run
from api.pages.templates import PAGE_HEADERS, page, render
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.streaming.sse import EventStream, event_bytes
from jobs.errors import NotFoundError
from jobs.queue.live_texts import live_texts, watch
from jobs.safe_text import safe_text
from jobs.store.pictures.follow_ups import base_of, comparisons_of
from jobs.store.queries.run_pictures import PictureChoice, Show, Sort
from jobs.store.tables import Batch

router = APIRouter(include_in_schema=False)
_pages = APIRouter(include_in_schema=False, route_class=PageRoute)

#: Pictures of the first page, and of each part that the gallery asks for.
PICTURES_A_PAGE = 60
#: Seconds between two looks at a run.
LOOK_EVERY = 0.5
RunId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
At = Annotated[int, Query(ge=0, lt=2**31)]


def get_choice(
    show: Show = Show.ALL, sort: Sort = Sort.NAME, search: Annotated[str, Query(max_length=200)] = ""
) -> PictureChoice:
    """Return the choice of pictures that the address names."""
    return PictureChoice(show, sort, " ".join(search.split()))


ChoiceDep = Annotated[PictureChoice, Depends(get_choice)]


def find_run(run_id: str, resources: Resources) -> Batch:
    """Return the batch of a run. Raises NotFoundError."""
    try:
        return resources.store.batch(run_id)
    except NotFoundError:
        raise not_found("run", run_id) from None


@_pages.get("/runs/{run_id}")
def show_run(
    run_id: RunId, resources: ResourcesDep, state: PageStateDep, caller: CallerDep, choice: ChoiceDep, at: At = 0
) -> Response:
    """Show a run and a first part of its pictures."""
    run = state.runs.of(find_run(run_id, resources))
    total = len(state.orders.ids(run_id, choice, fresh=True))
    at -= at % PICTURES_A_PAGE
    jobs = state.orders.jobs(run_id, choice, at, PICTURES_A_PAGE)
    return page(
        "run.html",
        run=run,
        choice=choice,
        shows=list(Show),
        pictures=[picture_view(job) for job in jobs],
        at=at,
        size=PICTURES_A_PAGE,
        total=total,
        base_id=base_of(resources.store.engine, run_id),
        comparisons=comparisons_of(resources.store.engine, run_id),
        notice=interruption(resources) if run.is_open else "",
    )


@router.get("/runs/{run_id}/rows")
def get_rows(run_id: RunId, state: PageStateDep, caller: CallerDep, choice: ChoiceDep, at: At = 0) -> Response:
    """Get a part of the run's pictures for the gallery, as HTML."""
    jobs = state.orders.jobs(run_id, choice, at, PICTURES_A_PAGE)
    cards = [render("parts/card.html", picture=picture_view(job), choice=choice) for job in jobs]
    total = len(state.orders.ids(run_id, choice))
    return JSONResponse({"total": total, "cards": cards}, headers=PAGE_HEADERS)


@router.get("/runs/{run_id}/live")
async def follow_run(run_id: RunId, resources: ResourcesDep, state: PageStateDep, caller: CallerDep) -> Response:
    """Follow a run by server-sent events: its state, whenever that changes, up to its end."""
    batch = await run_in_threadpool(find_run, run_id, resources)
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    def notice() -> str:
        return interruption(resources) if state.runs.of(batch).is_open else ""

    events = with_beats(_changes(batch, resources, state), notice)
    return EventStream(events, at_end=at_end, error_name="failure")


@_pages.post("/runs/{run_id}/cancel")
def cancel(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Cancel the pictures that have no caption yet."""
    cancel_run(find_run(run_id, resources), resources)
    return RedirectResponse(f"/runs/{run_id}", 303)


@_pages.post("/runs/{run_id}/pause")
def pause(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Let the pictures that have no caption yet wait."""
    pause_run(find_run(run_id, resources), resources)
    return RedirectResponse(f"/runs/{run_id}", 303)


@_pages.post("/runs/{run_id}/resume")
def resume(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Go on with a paused run."""
    resume_run(find_run(run_id, resources), resources)
    return RedirectResponse(f"/runs/{run_id}", 303)


@_pages.post("/runs/{run_id}/retry")
def retry(run_id: RunId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Retry the pictures that failed or were cancelled, as a new run."""
    new = retry_run(find_run(run_id, resources), resources)
    return RedirectResponse(f"/runs/{new.id}", 303)


async def _changes(batch: Batch, resources: Resources, state: PageState) -> AsyncIterator[bytes]:
    sent = ""
    texts: dict[str, str] = {}
    while not resources.draining.is_set():
        run = await run_in_threadpool(lambda: state.runs.of(resources.store.batch(batch.id)))
        html = render("parts/run_live.html", run=run)
        if html != sent:
            sent = html
            yield event_bytes({"html": html, "done": run.done, "is_open": run.is_open}, event="state")
        known, texts = texts, await run_in_threadpool(texts_so_far, resources) if run.is_open else {}
        if news := {job_id: text for job_id, text in texts.items() if text != known.get(job_id)}:
            yield event_bytes(news, event="texts")
        await asyncio.sleep(LOOK_EVERY if run.is_open else 4 * LOOK_EVERY)


def texts_so_far(resources: Resources) -> dict[str, str]:
    """Return the captions that are being written, of all runs: the gallery shows those that it holds."""
    try:
        watch(resources.connection)
        texts = live_texts(resources.connection, [worker.name for worker in resources.workers()])
    except RedisError:
        # The broker is away: captions come with their rows.
        return {}
    return {job_id: safe_text(text, lines=True) for job_id, text in texts.items()}


router.include_router(_pages)
