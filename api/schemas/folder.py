"""Folders on the wire: the question about all their images, and their progress."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.runtime.resources import Resources
from api.schemas.numbers import Seed, Whole
from api.schemas.wire import Wire
from jobs.creation.question import Question
from jobs.models.model_info import public_name
from jobs.options.caption_options import CaptionOptions, QuestionOptions
from jobs.request_defaults import MAX_TOKENS
from jobs.response_format import ResponseFormat
from jobs.store.progress import progress_of
from jobs.store.tables import Batch, JobStatus


class FolderOptions(QuestionOptions, Wire):
    """The question about every image: the options of `captionq caption`."""

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    max_tokens: Whole = Field(default=256, ge=1, le=MAX_TOKENS, description="Most tokens per answer.")
    seed: Seed = Field(default=None, description="Make varied answers repeatable.")
    response_format: ResponseFormat | None = None
    webhook: str | None = Field(
        default=None, max_length=2048, description="URL that is sent the folder when all of it has ended"
    )

    def question(self, model: str) -> Question:
        """Return the question for this model."""
        return Question.of(self, model, self.response_format)


class FolderBody(CaptionOptions, FolderOptions):
    """A folder below a served one (--allow-root). Each image gets a text file beside it."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute path of the folder")


class Counts(Wire):
    """Images by status."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class Folder(Wire):
    """Images with one question. Times are seconds since the epoch."""

    id: str
    object: Literal["folder"] = "folder"
    status: Literal["running", "ended"]
    description: str = Field(description="The path, or the names of the uploaded files")
    model: str
    created_at: float
    finished_at: float | None
    counts: Counts
    rate: float | None = Field(description="Images per second, lately")
    seconds_left: float | None = Field(description="Estimated seconds until the end")


def folder_object(batch: Batch, resources: Resources) -> Folder:
    """Return a folder with its progress."""
    progress = progress_of(resources.store, batch)
    counts = {status.value: progress.counts[status] for status in JobStatus}
    return Folder(
        id=batch.id,
        status="ended" if progress.has_ended and batch.complete else "running",
        description=batch.description,
        model=public_name(batch.model),
        created_at=batch.created_at,
        finished_at=progress.finished_at,
        counts=Counts(total=sum(counts.values()), **counts),
        rate=None if progress.rate is None else round(progress.rate, 3),
        seconds_left=None if progress.seconds_left is None else round(progress.seconds_left, 1),
    )
