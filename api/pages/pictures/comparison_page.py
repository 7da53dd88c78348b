"""`/runs/{id}/compare` starts a comparison, and `/runs/{id}/comparison` shows both answers beside each picture."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.pages.page_route import PageRoute
from api.pages.page_state import PageStateDep
from api.pages.pictures.comparisons import MOST_PICTURES, start_comparison, take_second_back, write_second
from api.pages.pictures.pair_view import pair_view
from api.pages.pictures.picture_changes import plain_lines, question_of
from api.pages.run_page import At, ChoiceDep, RunId, find_run
from api.pages.templates import page
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from jobs.models.model_info import public_name
from jobs.safe_text import safe_text
from jobs.store.pictures.follow_ups import Pair, Side, base_of, choose_winner, pairs_of, tally
from jobs.store.queries.run_pictures import PictureChoice
from jobs.store.tables import Batch

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PAIRS_A_PAGE = 30
#: Pictures that the form proposes.
SAMPLE = 100


@router.get("/runs/{run_id}/compare")
def show_form(
    run_id: RunId, resources: ResourcesDep, state: PageStateDep, caller: CallerDep, choice: ChoiceDep
) -> Response:
    """Show the form that starts a comparison."""
    batch = find_run(run_id, resources)
    ids = state.orders.ids(run_id, choice)
    first = resources.store.find(ids[0]) if ids else None
    return page(
        "compare.html",
        run_id=run_id,
        title=_title(batch),
        choice=choice,
        count=len(ids),
        sample=min(len(ids), SAMPLE),
        most=min(len(ids), MOST_PICTURES),
        prompt="" if first is None else safe_text(question_of(first), lines=True),
        model=public_name(batch.model),
        models=[name for name, info in resources.catalogue.models().items() if info.modality != "text"],
    )


@router.post("/runs/{run_id}/compare")
def begin_comparison(
    run_id: RunId,
    resources: ResourcesDep,
    state: PageStateDep,
    caller: CallerDep,
    choice: ChoiceDep,
    count: Annotated[int, Form(ge=1, le=2**31)] = SAMPLE,
    prompt: Annotated[str, Form(max_length=100_000)] = "",
    model: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Ask again about the chosen pictures, and lead to both answers."""
    base = find_run(run_id, resources)
    ids = state.orders.ids(run_id, choice, fresh=True)
    batch = start_comparison(base, ids, count, plain_lines(prompt).strip(), model, resources)
    return RedirectResponse(f"/runs/{batch.id}/comparison", 303)


@router.get("/runs/{run_id}/comparison")
def show_comparison(
    run_id: RunId, resources: ResourcesDep, state: PageStateDep, caller: CallerDep, at: At = 0
) -> Response:
    """Show a part of the pairs."""
    batch, base = _comparison(run_id, resources)
    choice = PictureChoice()
    total = len(state.orders.ids(run_id, choice))
    at -= at % PAIRS_A_PAGE
    pairs = pairs_of(resources.store.engine, state.orders.jobs(run_id, choice, at, PAIRS_A_PAGE))
    asked = pairs[0] if pairs else None
    return page(
        "comparison.html",
        run=state.runs.of(batch),
        base_id=base.id,
        title=_title(base),
        models=(public_name(base.model), public_name(batch.model)),
        prompts=None
        if asked is None
        else [safe_text(question_of(one), lines=True) for one in (asked.first, asked.second)],
        pairs=[pair_view(pair) for pair in pairs],
        tally=tally(resources.store.engine, run_id),
        sides=list(Side),
        at=at,
        size=PAIRS_A_PAGE,
        total=total,
    )


@router.post("/runs/{run_id}/comparison/{job_id}/pick")
def pick(
    run_id: RunId,
    job_id: RunId,
    resources: ResourcesDep,
    caller: CallerDep,
    winner: Annotated[Side | Literal[""], Form()] = "",
    at: At = 0,
) -> Response:
    """Note which answer is better."""
    pair = _pair(run_id, job_id, resources)
    choose_winner(resources.store.engine, pair.second.id, Side(winner) if winner else None)
    return _back(run_id, job_id, at)


@router.post("/runs/{run_id}/comparison/{job_id}/write")
def write_answer(run_id: RunId, job_id: RunId, resources: ResourcesDep, caller: CallerDep, at: At = 0) -> Response:
    """Write the second answer into the picture's files."""
    write_second(_pair(run_id, job_id, resources), resources)
    return _back(run_id, job_id, at)


@router.post("/runs/{run_id}/comparison/{job_id}/undo")
def undo_answer(run_id: RunId, job_id: RunId, resources: ResourcesDep, caller: CallerDep, at: At = 0) -> Response:
    """Give the picture's files the first answer again."""
    take_second_back(_pair(run_id, job_id, resources), resources)
    return _back(run_id, job_id, at)


def _comparison(run_id: str, resources: Resources) -> tuple[Batch, Batch]:
    """Return the batch of a comparison, and the run that it is compared with. Raises NotFoundError."""
    batch = find_run(run_id, resources)
    base_id = base_of(resources.store.engine, batch.id)
    if base_id is None:
        raise not_found("comparison", run_id)
    return batch, find_run(base_id, resources)


def _pair(run_id: str, job_id: str, resources: Resources) -> Pair:
    job = resources.store.find(job_id)
    pairs = pairs_of(resources.store.engine, [job]) if job is not None and job.batch_id == run_id else []
    if not pairs:
        raise not_found("picture", job_id)
    return pairs[0]


def _title(batch: Batch) -> str:
    return safe_text(batch.description) or batch.id


def _back(run_id: str, job_id: str, at: int) -> Response:
    return RedirectResponse(f"/runs/{run_id}/comparison{f'?at={at}' if at else ''}#{job_id}", 303)
