"""The results of Anthropic's batches: one line a request, in the order of the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api.batches.endpoints import LINE_ENDPOINTS, failure_of
from api.errors.body import ErrorDetail
from api.errors.forms import anthropic_error
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus
from jobs.store.file_batches.file_lines import EndedLine, FileLines
from jobs.store.tables import JobStatus


def message_results(batch: FileBatch, lines: FileLines) -> Iterator[bytes]:
    """Yield the results of a batch that has ended, a hundred at a time."""
    for page in lines.pages(batch.id):
        yield b"".join(_line(batch, ended) for ended in page)


def _line(batch: FileBatch, ended: EndedLine) -> bytes:
    line = {"custom_id": json.loads(ended.line.custom_id), "result": _result(batch, ended)}
    # In ASCII: Python's `splitlines` takes U+2028 and U+0085 for ends of lines.
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _result(batch: FileBatch, ended: EndedLine) -> dict[str, Any]:
    job = ended.job
    if job is not None and ended.is_answered:
        return {"type": "succeeded", "message": LINE_ENDPOINTS[batch.endpoint].answer(job)}
    if ended.line.refusal is not None:
        return _errored(json.loads(ended.line.refusal)["body"])
    if job is not None and job.status == JobStatus.FAILED:
        return _errored(failure_of(job).body)
    return {"type": "expired" if batch.status == FileBatchStatus.EXPIRED else "canceled"}


def _errored(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "errored", "error": anthropic_error(ErrorDetail(**body["error"]))}
