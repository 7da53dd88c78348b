"""The results of a folder: as events while they come, and as JSON lines or CSV."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from api.runtime.resources import Resources
from api.schemas.chat.chat_response import usage_of
from api.schemas.folder import folder_object
from api.schemas.job import error_of, source_name
from api.streaming.sse import HEARTBEAT, HEARTBEAT_COMMENT, event_bytes
from jobs.captions.outputs.answer_table import AnswerTable
from jobs.captions.outputs.csv_cells import csv_line
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus

#: Seconds between two reads of the images that have ended.
RESULTS_CHECK_EVERY = 0.5
#: The id of the last event. A client that has it has had every event.
END = "end"
#: Pattern of event ids: they count the images in the order of their ends. Ten digits would not fit a column of Postgres.
EVENT_ID = r"^(\d{1,9}|end)$"
COLUMNS = (
    "source",
    "status",
    "text",
    "output_text",
    "finish_reason",
    "quality",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "error_code",
    "error_message",
    "job",
)


def result_of(job: Job, batch: Batch) -> dict[str, Any]:
    """Return the result of one image."""
    error = error_of(job)
    return {
        "job": job.id,
        "source": source_name(job, _folder_of(batch)),
        "status": job.status,
        "text": job.text if job.status == JobStatus.SUCCEEDED else None,
        "output_text": job.output_text if job.status == JobStatus.SUCCEEDED else None,
        "finish_reason": job.finish_reason,
        "quality": job.quality,
        "cached": job.cached,
        "usage": usage_of(job).model_dump() if job.status == JobStatus.SUCCEEDED else None,
        "error": None if error is None else error.model_dump(),
        **_cell_of(job),
    }


def json_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Yield a line for each image that has ended, in the order of their ends."""
    for job in chain.from_iterable(store.ended_pages(batch.id)):
        yield json.dumps(result_of(job, batch), ensure_ascii=False) + "\n"


def csv_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Yield the same results as a table with a heading. Questions have a row for each image, and a column for each question."""
    first = store.jobs(batch_id=batch.id, limit=1)
    if first and first[0].question is not None:
        table = AnswerTable([])
        for job in chain.from_iterable(store.ended_pages(batch.id)):
            table.add(job)
        yield from table.lines("csv")
        return
    yield csv_line(COLUMNS)
    for job in chain.from_iterable(store.ended_pages(batch.id)):
        result = result_of(job, batch)
        usage, error = result["usage"] or {}, result["error"] or {}
        errors = {"error_code": error.get("code"), "error_message": error.get("message")}
        yield _row({**result, **usage, **errors})


async def folder_events(batch: Batch, resources: Resources, after: int) -> AsyncIterator[bytes]:
    """Yield an event for each image that ends after number `after`, the folder's progress, and the whole folder at the end."""
    last, sent_counts, sent_at = after, None, time.monotonic()
    while not resources.draining.is_set():
        # The counts are read first: a job that ends after that is sent in the next round.
        folder = await run_in_threadpool(lambda: folder_object(resources.store.batch(batch.id), resources))
        while jobs := await run_in_threadpool(resources.store.finished_after, batch.id, last):
            for job in jobs:
                last = job.finished_order or last
                yield event_bytes(result_of(job, batch), event="image", id_=str(last))
        if folder.status == "ended":
            yield event_bytes(folder.model_dump(), event="result", id_=END)
            return
        if folder.counts != sent_counts:
            sent_counts, sent_at = folder.counts, time.monotonic()
            yield event_bytes(folder.model_dump(), event="progress", id_=str(last))
        elif time.monotonic() - sent_at > HEARTBEAT:
            sent_at = time.monotonic()
            yield HEARTBEAT_COMMENT
        await asyncio.sleep(RESULTS_CHECK_EVERY)


def _folder_of(batch: Batch) -> Path | None:
    return Path(batch.description).resolve() if batch.description.startswith("/") else None


def _cell_of(job: Job) -> dict[str, Any]:
    """Return the name of the question of a table that the job answers, and the answer in its type."""
    question = job.parsed_question()
    if question is None:
        return {}
    answered = job.status == JobStatus.SUCCEEDED and job.text is not None
    return {"question": question.name, "value": question.value(job.text or "") if answered else None}


def _row(values: dict[str, Any]) -> str:
    return csv_line(values.get(column) for column in COLUMNS)
