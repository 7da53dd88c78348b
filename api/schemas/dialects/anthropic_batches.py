"""Anthropic's message batches on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.schemas.tolerance import Tolerant
from jobs.batches.life_cycle import tally_of
from jobs.batches.lines import MAX_CUSTOM_ID
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus
from jobs.store.file_batches.file_lines import FileLines, Tally

#: Maximum requests of a body, as by Anthropic. `CAPTIONQ_MAX_BATCH_LINES` may allow fewer.
MAX_REQUESTS = 100_000

ProcessingStatus = Literal["in_progress", "canceling", "ended"]


class MessageBatchRequest(Tolerant):
    """A request of a batch."""

    custom_id: str = Field(
        min_length=1, max_length=MAX_CUSTOM_ID, description="Your name of the request, unique in the batch"
    )
    params: dict[str, Any] = Field(description="The body of POST /v1/messages, without `stream`; checked in its turn")


class MessageBatchBody(Tolerant):
    """The requests of a new batch."""

    requests: Annotated[list[MessageBatchRequest], Field(min_length=1, max_length=MAX_REQUESTS, fail_fast=True)]


class MessageBatchCounts(BaseModel):
    """Requests by their results. All are `processing` until the batch has ended."""

    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int


class MessageBatch(BaseModel):
    """Anthropic's `message_batch`. Times are in RFC 3339."""

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: ProcessingStatus
    request_counts: MessageBatchCounts
    created_at: datetime
    expires_at: datetime = Field(description="24 hours after the creation")
    ended_at: datetime | None
    cancel_initiated_at: datetime | None
    archived_at: None = Field(default=None, description="Always null: results are kept until the batch is deleted")
    results_url: str | None = Field(description="The address of the results; null until the batch has ended")


class MessageBatchList(BaseModel):
    """A page of batches. For the next page set after_id to `last_id`."""

    data: list[MessageBatch]
    first_id: str | None
    last_id: str | None
    has_more: bool = Field(description="Whether there are more batches in the direction of the page")


class MessageBatchDeleted(BaseModel):
    """The confirmation that a batch was deleted."""

    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


def message_batch_id(batch_id: str) -> str:
    """Return the id that Anthropic's clients see."""
    return f"msg{batch_id}"


def message_batch(batch: FileBatch, lines: FileLines, base_url: str) -> MessageBatch:
    """Return the public object of a batch; `base_url`: the server's address as its client wrote it."""
    id_ = message_batch_id(batch.id)
    results = f"{base_url.rstrip('/')}/v1/messages/batches/{id_}/results"
    return MessageBatch(
        id=id_,
        processing_status=_status_of(batch),
        request_counts=_counts(batch, tally_of(batch, lines) if batch.has_ended else None),
        created_at=datetime.fromtimestamp(batch.created_at, UTC),
        expires_at=datetime.fromtimestamp(batch.expires_at, UTC),
        ended_at=_time(batch.completed_at or batch.expired_at or batch.cancelled_at),
        cancel_initiated_at=_time(batch.cancelling_at),
        results_url=results if batch.has_ended else None,
    )


def _status_of(batch: FileBatch) -> ProcessingStatus:
    if batch.has_ended:
        return "ended"
    return "canceling" if batch.status == FileBatchStatus.CANCELLING else "in_progress"


def _counts(batch: FileBatch, tally: Tally | None) -> MessageBatchCounts:
    if tally is None:
        return MessageBatchCounts(processing=batch.total, succeeded=0, errored=0, canceled=0, expired=0)
    unanswered = batch.total - tally.completed - tally.errored
    has_expired = batch.status == FileBatchStatus.EXPIRED
    return MessageBatchCounts(
        processing=0,
        succeeded=tally.completed,
        errored=tally.errored,
        canceled=0 if has_expired else unanswered,
        expired=unanswered if has_expired else 0,
    )


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
