"""Batches of files for tests that need neither a server nor a model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from redis import Redis

from jobs.batches.feeding import LineResponse
from jobs.batches.life_cycle import BatchLife, LineDialect
from jobs.batches.rendering import result_line
from jobs.configuration.settings import Settings
from jobs.errors import ImageTooLargeError, ModelNotFoundError
from jobs.images.stored.blobs import put_blob
from jobs.requests import Message, Request
from jobs.store.file_batches.batch_tables import FileBatch, ResultPart
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job, JobStatus, Lane
from tests.support.rows import RESULT

ENDPOINT = "/v1/chat/completions"
REFUSED = {"error": {"code": "no", "message": "No."}}


def request_line(custom_id: str = "a", **more: Any) -> bytes:
    """Return a line of a file; `more` replaces its parts."""
    asked = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": {"model": "demo", "ask": custom_id}}
    return json.dumps({**asked, **more}).encode() + b"\n"


TEN = [request_line(str(number)) for number in range(10)]


def resolve(name: str | None) -> str:
    """Return the name of a known model."""
    if name not in (None, "demo", "demo-text"):
        raise ModelNotFoundError(f"Model '{name}' not found.")
    return name or "demo"


def add_file_batch(
    store: Store, settings: Settings, lines: Iterable[bytes], *, window: float = 3600.0, **more: Any
) -> FileBatch:
    """Store a file and a batch of its lines."""
    sha256, _ = put_blob([b"".join(lines)], settings, most=1 << 30, too_large=ImageTooLargeError)
    batch = Batch(description="a file", kind=BatchKind.FILE, model="", complete=False)
    now = time.time()
    made = FileBatch(
        id=batch.id,
        endpoint=ENDPOINT,
        input_file_id="file_1",
        input_sha256=sha256,
        completion_window="1h",
        created_at=now,
        expires_at=now + window,
        **more,
    )
    FileBatches(store.engine).add(batch, made)
    return made


def life_of(store: Store, connection: Redis, settings: Settings) -> BatchLife:
    """Return the life of batches whose bodies are `{"ask": …}`; a body that asks "no" is refused."""
    lines = FileLines(store.engine)

    def render(batch: FileBatch, part: ResultPart) -> Iterator[bytes]:
        for page in lines.pages(batch.id, part):
            yield from (rendered(batch, one, part) for one in page)

    return BatchLife(store, connection, settings, LineDialect(resolve, _make_job, render))


def rendered(batch: FileBatch, one: Any, part: ResultPart) -> bytes:
    """Render one line."""
    return result_line(batch, one, part, answer=lambda job: {"text": job.text}, failure=lambda job: _failure(job))


def contents(store: Store, batch_id: str, part: ResultPart) -> list[dict[str, Any]]:
    """Return the results of one part."""
    lines, batch = FileLines(store.engine), FileBatches(store.engine).get(batch_id)
    return [json.loads(rendered(batch, one, part)) for page in lines.pages(batch_id, part) for one in page]


def answer_all(store: Store, batch_id: str, *, at_most: int | None = None) -> int:
    """Answer the queued jobs of a batch with their own questions; return how many."""
    waiting = store.jobs(batch_id=batch_id, statuses=[JobStatus.QUEUED], limit=at_most)
    for job in store.claim([job.id for job in waiting], "worker").values():
        text = str(job.parsed_request().messages[0].content)
        store.succeed(job.id, type(RESULT)(**{**RESULT.__dict__, "text": text}))
    return len(waiting)


def now(store: Store, batch: FileBatch) -> FileBatch:
    """Read the row again."""
    return FileBatches(store.engine).get(batch.id)


def lead(life: BatchLife, store: Store, batch: FileBatch) -> FileBatch:
    """Lead a batch to its end; a worker answers all jobs between two steps."""
    for _ in range(100):
        if (batch := now(store, batch)).has_ended:
            return batch
        life.advance(batch)
        answer_all(store, batch.id)
    raise AssertionError(batch)


def ids(results: list[dict[str, Any]]) -> list[str]:
    """Return the custom ids."""
    return [one["custom_id"] for one in results]


def _make_job(endpoint: str, body: dict[str, Any]) -> Job | LineResponse:
    if body["ask"] == "no":
        return LineResponse(400, REFUSED)
    request = Request(model="demo", messages=[Message(role="user", content=body["ask"])])
    return Job(lane=Lane.BULK, model="demo", request=request.model_dump_json(), digest=request.digest)


def _failure(job: Job) -> LineResponse:
    return LineResponse(500, {"error": {"code": job.error_code, "message": job.error_message}})
