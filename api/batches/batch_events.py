"""The events of a batch: its lines as they are answered, and its progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from api.batches.endpoints import rendered
from api.runtime.resources import Resources
from api.schemas.batch import batch_object
from api.streaming.folder_results import END, RESULTS_CHECK_EVERY
from api.streaming.sse import HEARTBEAT, HEARTBEAT_COMMENT, event_bytes
from jobs.store.file_batches.batch_tables import ResultPart
from jobs.store.file_batches.file_lines import FileLines

#: Seconds between two looks at the counts, which read all lines of the batch.
PROGRESS_EVERY = 2.0


async def batch_events(batch_id: str, resources: Resources, after: int) -> AsyncIterator[bytes]:
    """Yield an event for each line whose job ends after number `after`, the batch's progress, and the whole batch at the end."""
    lines, store = FileLines(resources.store.engine), resources.store
    last, counted_at, sent, sent_at = after, float("-inf"), None, time.monotonic()
    while not resources.draining.is_set():
        # The batch is read first: a job that ends after that is sent in the next round.
        batch = await run_in_threadpool(resources.batches.get, batch_id)
        while jobs := await run_in_threadpool(store.finished_after, batch_id, last):
            for ended in await run_in_threadpool(lines.of_jobs, batch_id, jobs):
                part = ResultPart.OUTPUT if ended.is_answered else ResultPart.ERRORS
                assert ended.job is not None
                number = str(ended.job.finished_order)
                yield event_bytes(rendered(batch, ended, part).decode().rstrip("\n"), event="line", id_=number)
            last = jobs[-1].finished_order or last
        if batch.has_ended:
            shown = await run_in_threadpool(batch_object, batch, resources)
            yield event_bytes(shown.model_dump(), event="result", id_=END)
            return
        if time.monotonic() - counted_at > PROGRESS_EVERY:
            shown = await run_in_threadpool(batch_object, batch, resources)
            counted_at = time.monotonic()
            if shown != sent:
                sent, sent_at = shown, time.monotonic()
                yield event_bytes(shown.model_dump(), event="progress", id_=str(last))
        if time.monotonic() - sent_at > HEARTBEAT:
            sent_at = time.monotonic()
            yield HEARTBEAT_COMMENT
        await asyncio.sleep(RESULTS_CHECK_EVERY)
