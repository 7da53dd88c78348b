"""The results of a batch as OpenAI's lines: rendered from the rows whenever they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jobs.batches.feeding import LineResponse
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus, ResultPart
from jobs.store.file_batches.file_lines import EndedLine
from jobs.store.tables import Job, JobStatus

#: Codes and messages of lines that were not answered because their batch ended.
_CLOSED = {
    FileBatchStatus.EXPIRED: (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    FileBatchStatus.CANCELLED: ("batch_cancelled", "The batch was cancelled before this request was executed."),
}
_CANCELLED = ("request_cancelled", "The job of this request was cancelled.")

#: Function that returns the body of an answered job.
Answer = Callable[[Job], dict[str, Any]]
#: Function that returns the status and the body of a failed job.
Failure = Callable[[Job], LineResponse]


def result_line(batch: FileBatch, ended: EndedLine, part: ResultPart, *, answer: Answer, failure: Failure) -> bytes:
    """Render the result of one line. The same rows give the same bytes."""
    line, job = ended.line, ended.job
    response, error = None, None
    if part is ResultPart.OUTPUT:
        assert job is not None
        response = _response(job.id, LineResponse(200, answer(job)))
    elif line.refusal is not None:
        response = _response(f"{batch.id}_{line.number}", LineResponse(**json.loads(line.refusal)))
    elif job is not None and job.status == JobStatus.FAILED:
        response = _response(job.id, failure(job))
    else:
        code, message = _CLOSED.get(FileBatchStatus(batch.ending or batch.status), _CANCELLED)
        error = {"code": code, "message": message}
    result = {
        "id": f"batch_req_{batch.id.removeprefix('batch_')}_{line.number}",
        "custom_id": json.loads(line.custom_id),
        "response": response,
        "error": error,
    }
    # In ASCII: Python's `splitlines` takes U+2028 and U+0085 for ends of lines.
    return json.dumps(result, separators=(",", ":")).encode() + b"\n"


def _response(request_id: str, answered: LineResponse) -> dict[str, Any]:
    return {"status_code": answered.status, "request_id": request_id, "body": answered.body}
