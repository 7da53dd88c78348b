"""What the tools return, as clients see it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Caption(BaseModel):
    """A picture and its caption, or the reason why it has none."""

    path: str
    caption: str | None = None
    error: str | None = None


class CaptionResult(BaseModel):
    """The captions of a call."""

    batch_id: str = Field(description="For batch_status.")
    images: int = Field(description="Pictures that were found.")
    waiting: int = Field(description="Pictures without a caption yet. They are captioned in the background.")
    captions: list[Caption]


class Answer(BaseModel):
    """The answer to a question."""

    answer: str
    finish_reason: str = Field(description="stop, or length if the answer was cut off.")


class FoundCaptions(BaseModel):
    """Captions that a search found."""

    captions: list[Caption]
    more: bool = Field(description="Whether there are more than these.")


class BatchStatus(BaseModel):
    """How far a batch is."""

    batch_id: str
    model: str
    counts: dict[str, int] = Field(description="Pictures by status: queued, running, succeeded, failed, cancelled.")
    done: bool
    failed: list[Caption] = Field(description="Some of the pictures that failed, each with its reason.")


class BatchStatuses(BaseModel):
    """The newest batches, or the one that was asked for."""

    batches: list[BatchStatus]
