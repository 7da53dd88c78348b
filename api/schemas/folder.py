"""Folders on the wire: what is asked about all their images, and how far it is."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api.runtime.resources import Resources
from api.schemas.chat_request import Wire
from jobs.creation.question import Question
from jobs.errors import InvalidRequestError
from jobs.models.model_info import public_name
from jobs.request_defaults import DEFAULT_PRESET, MAX_TOKENS, preset
from jobs.requests import MAX_STOPS, Sampling, StopString
from jobs.response_format import ResponseFormat
from jobs.store.progress import progress_of
from jobs.store.tables import Batch, JobStatus


class FolderOptions(Wire):
    """What is asked about every image: the options of `captionq caption`."""

    model: str | None = Field(default=None, description="Of GET /v1/models; without it the default one")
    prompt: str | None = Field(default=None, min_length=1)
    preset: Literal["describe", "short", "detailed", "alt-text", "tags"] | None = None
    max_tokens: int = Field(default=256, ge=1, le=MAX_TOKENS)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: tuple[StopString, ...] = Field(default=(), max_length=MAX_STOPS)
    response_format: ResponseFormat | None = None
    webhook: str | None = Field(default=None, max_length=2048, description="Is sent the folder when all has ended")

    @model_validator(mode="after")
    def _prompt_or_preset(self) -> Self:
        if self.prompt is not None and self.preset is not None:
            raise PydanticCustomError("invalid_request_error", "Give either a prompt or a preset.")
        return self

    def question(self, model: str) -> Question:
        """Raises InvalidRequestError."""
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
    """A folder of this machine, below one that is served. Each image gets its text file beside it."""

    path: str = Field(min_length=1, max_length=4096)
    recursive: bool = True
    existing: Literal["skip", "replace"] = Field(
        default="skip", description="Images that have their text file; replace: only texts that captionq wrote"
    )
    force: bool = Field(default=False, description="With replace: also texts that a person wrote or changed")

    @model_validator(mode="after")
    def _force_only_to_replace(self) -> Self:
        if self.force and self.existing != "replace":
            raise PydanticCustomError("invalid_request_error", "force goes with existing: replace.")
        return self


class Counts(Wire):
    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class Folder(Wire):
    """Images that were asked about together. Times are seconds since the epoch."""

    id: str
    object: Literal["folder"] = "folder"
    status: Literal["running", "ended"]
    #: What was named: the path, or the names of the uploads.
    description: str
    model: str
    created_at: float
    finished_at: float | None
    counts: Counts
    #: Images a second lately, and the seconds that the rest will take.
    rate: float | None
    seconds_left: float | None


def folder_object(batch: Batch, resources: Resources) -> Folder:
    """How far it is."""
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
