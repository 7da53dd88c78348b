"""Batches on the wire: OpenAI's `batch`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.runtime.resources import Resources
from api.schemas.numbers import Whole
from api.schemas.wire import Wire
from jobs.batches.life_cycle import tally_of
from jobs.models.model_info import public_name
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus, ResultPart
from jobs.store.file_batches.file_lines import FileLines, Tally
from jobs.store.file_batches.result_files import result_files

#: OpenAI's limits.
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
LEAST_KEPT, MOST_KEPT = 3600, 2_592_000

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=MAX_KEY)], Annotated[str, Field(max_length=MAX_VALUE)]],
    Field(max_length=MAX_PAIRS),
]


class ExpiresAfter(Wire):
    """How long files are kept."""

    anchor: Literal["created_at"]
    seconds: Whole = Field(ge=LEAST_KEPT, le=MOST_KEPT)


class BatchBody(Wire):
    """A file of requests that are to be answered."""

    input_file_id: str = Field(max_length=64, description="A file with the purpose batch: a request a line")
    endpoint: str = Field(description="The url of all lines: /v1/chat/completions")
    completion_window: str = Field(
        default="24h", max_length=32, description="The deadline, such as 24h, 7d or 30m; then the batch expires"
    )
    metadata: Metadata | None = Field(default=None, description="Up to 16 pairs of your own")
    output_expires_after: ExpiresAfter | None = Field(
        default=None,
        description="When the files of results are deleted, counted from the end of the batch; never if absent",
    )
    webhook: str | None = Field(
        default=None, max_length=2048, description="URL that is sent the batch when it has ended. Not OpenAI's"
    )


class BatchError(BaseModel):
    """A flaw of the file."""

    code: str
    line: int | None = Field(description="The line, from 1; null: the whole file")
    message: str
    param: str | None


class BatchErrors(BaseModel):
    """Why the batch failed."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(BaseModel):
    """Lines of the file. Failed lines are those of the error file, expired and cancelled ones too."""

    total: int
    completed: int
    failed: int


class InputTokensDetails(BaseModel):
    """Part of the input tokens."""

    cached_tokens: int


class OutputTokensDetails(BaseModel):
    """Part of the output tokens."""

    reasoning_tokens: int


class BatchUsage(BaseModel):
    """Tokens of all answers."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class BatchObject(BaseModel):
    """OpenAI's `batch`. Times are seconds since the epoch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = Field(description="The model of all lines; null until the file is validated")
    errors: BatchErrors | None = Field(description="The flaws of a file that is not valid")
    input_file_id: str
    completion_window: str
    status: FileBatchStatus
    output_file_id: str | None = Field(description="The file of answers; it is complete at any moment")
    error_file_id: str | None = Field(description="The file of errors; it is complete at any moment")
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None


class BatchList(BaseModel):
    """A page of batches. For the next page set after to `last_id`."""

    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


_TIMES = ("in_progress", "expires", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


def batch_object(batch: FileBatch, resources: Resources) -> BatchObject:
    """Return the public object of a batch, with its counts."""
    tally = tally_of(batch, FileLines(resources.store.engine))
    files = result_files(resources.store.engine, [batch.id])[batch.id]
    flaws = batch.parsed_errors()
    return BatchObject.model_validate(
        {
            **{
                name: getattr(batch, name)
                for name in ("id", "endpoint", "input_file_id", "completion_window", "status")
            },
            **{f"{name}_at": _seconds(getattr(batch, f"{name}_at")) for name in _TIMES},
            "model": None if batch.model is None else public_name(batch.model),
            "errors": {"data": flaws} if flaws else None,
            "output_file_id": files.get(ResultPart.OUTPUT) if tally.completed else None,
            "error_file_id": files.get(ResultPart.ERRORS) if tally.failed else None,
            "created_at": int(batch.created_at),
            "request_counts": {"total": batch.total, "completed": tally.completed, "failed": tally.failed},
            "usage": _usage(tally),
            "metadata": batch.parsed_labels(),
        }
    )


def _usage(tally: Tally) -> BatchUsage:
    return BatchUsage(
        input_tokens=tally.prompt_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=tally.cached_tokens),
        output_tokens=tally.completion_tokens,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=tally.prompt_tokens + tally.completion_tokens,
    )


def _seconds(at: float | None) -> int | None:
    return None if at is None else int(at)
