"""`/start/sample`: three pictures of a new run, captioned ahead of everything else and shown with the time that all will take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api.errors.translation import not_found
from api.middleware.api_keys import Caller, CallerDep
from api.pages.pictures.picture_view import PictureView, picture_view
from api.pages.run_page import RunId, texts_so_far
from api.pages.start.sources import SAMPLE, Sampled, sample_of_folder, sample_of_tray
from api.pages.start.start_form import StartForm, in_words, wrong_options
from api.pages.templates import PAGE_HEADERS, render
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.folder import FolderBody
from api.streaming.sse import HEARTBEAT, HEARTBEAT_COMMENT, EventStream, event_bytes
from jobs.captions.wording.composition import composed
from jobs.creation import cancel
from jobs.creation.backpressure import check_room
from jobs.creation.create import queue_jobs
from jobs.creation.question import Question
from jobs.errors import InvalidRequestError, NotFoundError
from jobs.images.stored.upload_tray import UploadTray
from jobs.models.model_info import check_sees
from jobs.safe_text import safe_text
from jobs.store.tables import OPEN, Batch, BatchKind, Job, JobStatus, Lane

router = APIRouter(include_in_schema=False)

#: Seconds between two looks at a sample.
LOOK_EVERY = 0.4


@dataclass(frozen=True)
class SampledPicture:
    """A picture of a sample, with its text as the run would write it."""

    view: PictureView
    text: str
    #: Seconds in preprocessing, prefill and decoding; None: nothing was computed.
    seconds: float | None


@router.post("/start/sample")
async def begin_sample(request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Queue a sample with the options of the form. Its answers are given again to the run, which asks the same."""
    form = StartForm.of(await request.form())
    return await run_in_threadpool(_begin, form, str((await request.form()).get("sample", "")), resources, caller)


@router.get("/start/sample/{sample_id}/live")
async def follow_sample(
    sample_id: RunId,
    resources: ResourcesDep,
    caller: CallerDep,
    pictures: Annotated[int, Query(ge=1)],
    whole: bool = True,
) -> Response:
    """Follow a sample by server-sent events up to its end.

    Args:
        pictures: of the run that may follow, for the estimate of its time.
        whole: whether these are all of them.
    """
    batch = await run_in_threadpool(_find, sample_id, resources)
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    return EventStream(_changes(batch, pictures, resources, whole=whole), at_end=at_end, error_name="failure")


def worked_seconds(jobs: Sequence[Job]) -> float | None:
    """Return for how many seconds at least one of these jobs was worked on; None: the answers were there already.

    Neither waiting counts nor the loading of a model.
    """
    spans = []
    for job in jobs:
        if (seconds := _seconds(job)) and job.finished_at is not None:
            spans.append((job.finished_at - seconds, job.finished_at))
    worked, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        worked += max(0.0, end - max(begin, until))
        until = max(until, end)
    return worked or None


def estimated_seconds(jobs: Sequence[Job], pictures: int) -> float | None:
    """Estimate how long a run over so many pictures will take, from its sample; None: nothing was measured."""
    asked = [job for job in jobs if job.status == JobStatus.SUCCEEDED and not job.cached]
    worked = worked_seconds(asked)
    return None if worked is None else worked / len(asked) * pictures


def _begin(form: StartForm, former: str, resources: Resources, caller: Caller) -> Response:
    try:
        body = form.body()
    except ValidationError as error:
        raise InvalidRequestError(in_words(wrong_options(error))) from None
    resources.check_worker()
    info = resources.catalogue.resolve(body.model, body.adapter)
    check_sees(info)
    question = Question.of(body, info.name, None)
    batch = Batch(description="sample", kind=BatchKind.SAMPLE, model=info.name)
    if isinstance(body, FolderBody):
        sampled = sample_of_folder(body, question, batch, resources)
    else:
        tray = UploadTray(caller.name, form.tray, resources.settings)
        sampled = sample_of_tray(tray, question, batch, resources)
    _cancel_former(former, resources)
    _queue(sampled.jobs, batch, resources)
    live = f"/start/sample/{batch.id}/live?pictures={sampled.pictures}&whole={sampled.is_whole}"
    answer = {"id": batch.id, "live": live, "pictures": sampled.pictures, "html": _html(batch, sampled, resources)}
    return JSONResponse(answer, headers=PAGE_HEADERS)


def _queue(jobs: Sequence[Job], batch: Batch, resources: Resources) -> None:
    """Queue the jobs as urgent ones. Raises LaneFullError."""
    for job in jobs:
        job.lane = Lane.INTERACTIVE
    check_room(resources.store, resources.connection, Lane.INTERACTIVE, len(jobs), resources.settings)
    resources.store.add_batch(batch)
    queue_jobs(jobs, store=resources.store, connection=resources.connection)


def _cancel_former(sample_id: str, resources: Resources) -> None:
    """Cancel the rest of the sample that this one takes the place of."""
    try:
        batch = _find(sample_id, resources)
    except NotFoundError:
        return
    cancel.cancel_run(batch.id, store=resources.store, connection=resources.connection)


def _find(sample_id: str, resources: Resources) -> Batch:
    batch = resources.store.batch(sample_id)
    if batch.kind != BatchKind.SAMPLE:
        raise not_found("sample", sample_id)
    return batch


def _html(batch: Batch, sampled: Sampled, resources: Resources) -> str:
    return _rendered(_jobs(batch, resources), sampled.pictures, is_whole=sampled.is_whole)


def _jobs(batch: Batch, resources: Resources) -> list[Job]:
    return resources.store.jobs(batch_id=batch.id, limit=SAMPLE)


def _rendered(jobs: Sequence[Job], pictures: int, *, is_whole: bool) -> str:
    return render(
        "parts/sample.html",
        pictures=[_sampled(job) for job in jobs],
        worked=worked_seconds([job for job in jobs if not job.cached]),
        estimate=estimated_seconds(jobs, pictures),
        total=pictures,
        is_whole=is_whole,
        is_open=any(job.status in OPEN for job in jobs),
        answered=sum(job.status == JobStatus.SUCCEEDED for job in jobs),
    )


def _sampled(job: Job) -> SampledPicture:
    view = picture_view(job)
    free_text = job.parsed_request().response_format is None
    text = composed(job.text, job.parsed_delivery(), free_text=free_text) if job.text and not view.is_open else ""
    return SampledPicture(view, safe_text(text, lines=True), None if job.cached else _seconds(job))


def _seconds(job: Job) -> float:
    return (job.preprocess_seconds or 0.0) + (job.prefill_seconds or 0.0) + (job.decode_seconds or 0.0)


async def _changes(batch: Batch, pictures: int, resources: Resources, *, whole: bool) -> AsyncIterator[bytes]:
    sent, sent_at = "", 0.0
    texts: dict[str, str] = {}
    while not resources.draining.is_set():
        jobs = await run_in_threadpool(_jobs, batch, resources)
        is_open = any(job.status in OPEN for job in jobs)
        html = _rendered(jobs, pictures, is_whole=whole)
        if html != sent:
            sent, sent_at = html, time.monotonic()
            yield event_bytes({"html": html, "is_open": is_open}, event="sample")
        elif time.monotonic() - sent_at > HEARTBEAT:
            sent_at = time.monotonic()
            yield HEARTBEAT_COMMENT
        if not is_open:
            return
        growing = await run_in_threadpool(texts_so_far, resources)
        known, texts = texts, {job.id: growing[job.id] for job in jobs if job.id in growing}
        if news := {job_id: text for job_id, text in texts.items() if text != known.get(job_id)}:
            yield event_bytes(news, event="texts")
        await asyncio.sleep(LOOK_EVERY)
