"""`/runs/{id}/pictures/{job}`: one picture with its caption, which a person edits, keeps, takes back or asks for again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.pages.interruptions import interruption
from api.pages.live_stream import with_beats
from api.pages.page_route import PageRoute
from api.pages.page_state import PageStateDep
from api.pages.pictures.picture_changes import ask_again, edit, keep, plain_lines, question_of, text_in_file, undo_edit
from api.pages.pictures.picture_view import picture_view
from api.pages.pictures.questions import ask, questions
from api.pages.run_page import ChoiceDep, RunId, find_run
from api.pages.templates import page
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.streaming.job_events import job_events
from api.streaming.sse import EventStream
from jobs.safe_text import safe_text
from jobs.store.pictures.follow_ups import questions_about
from jobs.store.queries.run_pictures import PictureChoice, Show
from jobs.store.tables import OPEN, Job

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_events = APIRouter(include_in_schema=False)

#: Characters of an edited text and of a prompt.
MOST_CHARACTERS = 100_000
Text = Annotated[str, Form(max_length=MOST_CHARACTERS)]


@router.get("/runs/{run_id}/pictures/{job_id}")
def show_picture(
    run_id: RunId,
    job_id: RunId,
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
    choice: ChoiceDep,
) -> Response:
    """Show a picture and its caption, with the way to the previous and the next picture of the choice."""
    job = _find(run_id, job_id, resources)
    ids = state.orders.ids(run_id, choice)
    place = ids.index(job_id) if job_id in ids else None
    file, problem = text_in_file(job, resources)
    return page(
        "picture.html",
        picture=picture_view(job),
        choice=choice,
        place=place,
        count=len(ids),
        previous=ids[place - 1] if place else None,
        following=_following(ids, place),
        run_title=state.runs.title(find_run(run_id, resources)),
        prompt=safe_text(question_of(job), lines=True),
        file=file,
        problem=problem,
        is_open=job.status in OPEN,
        notice=interruption(resources) if job.status in OPEN else "",
        original=safe_text(job.new_text or "", lines=True) if job.edited_text is not None else None,
        may_change=job.status in ("succeeded", "failed") and (job.text is not None or job.edited_text is not None),
        reviewed=job.reviewed_at is not None,
        questions=questions(job, resources),
    )


@router.post("/runs/{run_id}/pictures/{job_id}/edit")
def save_caption(
    run_id: RunId,
    job_id: RunId,
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
    choice: ChoiceDep,
    text: Text,
    before: Text = "",
) -> Response:
    """Save a caption that a person edited, into its file and its row, and go on."""
    after = _after(run_id, job_id, state, choice)
    edit(_find(run_id, job_id, resources), text, before, resources)
    return _go(run_id, after if choice.show is Show.REVIEW else job_id, choice)


@router.post("/runs/{run_id}/pictures/{job_id}/keep")
def keep_caption(
    run_id: RunId, job_id: RunId, resources: ResourcesDep, state: PageStateDep, caller: CallerDep, choice: ChoiceDep
) -> Response:
    """Keep the caption as it is: it needs no review any more."""
    after = _after(run_id, job_id, state, choice)
    keep(_find(run_id, job_id, resources), resources)
    return _go(run_id, after, choice)


@router.post("/runs/{run_id}/pictures/{job_id}/undo")
def undo_caption(
    run_id: RunId, job_id: RunId, resources: ResourcesDep, caller: CallerDep, choice: ChoiceDep
) -> Response:
    """Take the edit back: the file gets the model's caption again."""
    undo_edit(_find(run_id, job_id, resources), resources)
    return _go(run_id, job_id, choice)


@router.post("/runs/{run_id}/pictures/{job_id}/again")
def ask_about_picture(
    run_id: RunId,
    job_id: RunId,
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
    choice: ChoiceDep,
    prompt: Text = "",
) -> Response:
    """Ask about the picture again, and show the new answer as it comes."""
    after = _after(run_id, job_id, state, choice)
    new = ask_again(_find(run_id, job_id, resources), plain_lines(prompt).strip(), resources)
    if choice.show is Show.REVIEW and after is not None:
        # The review goes on; a new answer with a flaw comes into the review of its own run.
        return _go(run_id, after, choice)
    return _go(new.batch_id or "", new.id, PictureChoice())


@router.post("/runs/{run_id}/pictures/{job_id}/questions")
def ask_question(
    run_id: RunId, job_id: RunId, resources: ResourcesDep, caller: CallerDep, choice: ChoiceDep, question: Text = ""
) -> Response:
    """Ask a question about the picture. Its answer is shown beneath, and changes nothing."""
    ask(_find(run_id, job_id, resources), plain_lines(question).strip(), resources)
    return RedirectResponse(f"/runs/{run_id}/pictures/{job_id}{choice.link()}#questions", 303)


@_events.get("/runs/{run_id}/pictures/{job_id}/live")
async def follow_picture(
    run_id: RunId,
    job_id: RunId,
    resources: ResourcesDep,
    caller: CallerDep,
    question: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Follow the caption of a picture, or the answer to a question about it, by server-sent events up to the result."""
    job = await run_in_threadpool(_find, run_id, job_id, resources)
    if question is not None:
        asked = await run_in_threadpool(questions_about, resources.store.engine, job.id)
        job = next((one for one in asked if one.id == question), None) or _missing(question)
    subscribed = ExitStack()
    subscription = subscribed.enter_context(resources.hub.follow(job.id, "0", is_resumable=True))

    async def at_end() -> None:
        subscribed.close()

    # The stream ends with the picture's result: until then its worker matters.
    events = with_beats(job_events(job, resources, subscription), partial(interruption, resources))
    return EventStream(events, at_end=at_end, error_name="failure")


router.include_router(_events)


def _find(run_id: str, job_id: str, resources: Resources) -> Job:
    job = resources.store.find(job_id)
    if job is None or job.batch_id != run_id:
        raise not_found("picture", job_id)
    return job


def _missing(question: str) -> Job:
    raise not_found("question", question)


def _following(ids: Sequence[str], place: int | None) -> str | None:
    return ids[place + 1] if place is not None and place + 1 < len(ids) else None


def _after(run_id: str, job_id: str, state: PageStateDep, choice: PictureChoice) -> str | None:
    """Return the picture that comes after this one in the choice; None: the list is done."""
    ids = state.orders.ids(run_id, choice)
    return _following(ids, ids.index(job_id)) if job_id in ids else None


def _go(run_id: str, job_id: str | None, choice: PictureChoice) -> Response:
    path = f"/runs/{run_id}" if job_id is None else f"/runs/{run_id}/pictures/{job_id}"
    return RedirectResponse(f"{path}{choice.link()}", 303)
