"""Folders on the wire: the question about all their images, and their progress."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api.runtime.resources import Resources
from api.schemas.numbers import Seed, Whole
from api.schemas.wire import Wire
from jobs.creation.question import Question
from jobs.errors import InvalidRequestError
from jobs.models.model_info import public_name
from jobs.request_defaults import DEFAULT_PRESET, MAX_TOKENS, preset
from jobs.requests import MAX_STOPS, Sampling, StopString
from jobs.response_format import ResponseFormat
from jobs.store.progress import progress_of
from jobs.store.tables import Batch, JobStatus


class FolderOptions(Wire):
    """The question about every image: the options of `captionq caption`."""

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    prompt: str | None = Field(default=None, min_length=1, description="The question; in place of a preset")
    preset: Literal["describe", "short", "detailed", "alt-text", "tags"] | None = Field(
        default=None, description=f"A question by its name; {DEFAULT_PRESET} if absent"
    )
    max_tokens: Whole = Field(default=256, ge=1, le=MAX_TOKENS, description="Most tokens of an answer")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0: always the most likely token")
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Sample from the most likely tokens whose probabilities add up to this (nucleus sampling)",
    )
    seed: Seed = None
    stop: tuple[StopString, ...] = Field(default=(), max_length=MAX_STOPS)
    response_format: ResponseFormat | None = None
    webhook: str | None = Field(
        default=None, max_length=2048, description="URL that is sent the folder when all of it has ended"
    )

    @model_validator(mode="after")
    def _prompt_or_preset(self) -> Self:
        if self.prompt is not None and self.preset is not None:
            raise PydanticCustomError("invalid_request_error", "Give either a prompt or a preset, not both.")
        return self

    def question(self, model: str) -> Question:
        """Return the question for this model. Raises InvalidRequestError."""
        try:
            sampling = Sampling(
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=self.stop,
            )
        except ValidationError as error:
            raise InvalidRequestError(error.errors()[0]["msg"]) from None
        prompt = self.prompt or preset(self.preset or DEFAULT_PRESET)
        return Question(model=model, prompt=prompt, sampling=sampling, response_format=self.response_format)


class FolderBody(FolderOptions):
    """A folder below a served one (--allow-root). Each image gets a text file beside it."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute path of the folder")
    recursive: bool = Field(default=True, description="Search subfolders")
    existing: Literal["skip", "replace"] = Field(
        default="skip", description="Images that already have a text file. replace: only texts that captionq wrote"
    )
    force: bool = Field(default=False, description="With replace: also replace texts that a person wrote or changed")

    @model_validator(mode="after")
    def _force_only_to_replace(self) -> Self:
        if self.force and self.existing != "replace":
            raise PydanticCustomError("invalid_request_error", "force needs existing: replace.")
        return self


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
