"""Folders on the wire: the question about all their images, and their progress."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api.runtime.resources import Resources
from api.schemas.numbers import Seed, Whole
from api.schemas.wire import Wire
from jobs.answer_format.response_format import ResponseFormat
from jobs.creation.question import Question
from jobs.models.model_info import public_name
from jobs.options.caption_options import CaptionOptions, QuestionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.options.prompts.typed_question import MAX_QUESTIONS, TypedQuestion, check_names
from jobs.request_defaults import DEFAULT_MAX_TOKENS, MAX_TOKENS
from jobs.store.progress import progress_of
from jobs.store.tables import Batch, JobStatus

#: The two bodies of `POST /v1/folders` in the OpenAPI document.
FOLDER_BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/FolderBody"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "Images, or zips of images",
                        },
                        "options": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/FolderOptions"},
                        },
                    },
                }
            },
        },
    }
}


class FolderOptions(QuestionOptions, Wire):
    """The question about every image: the options of `captionq caption`."""

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    max_tokens: Whole = Field(default=DEFAULT_MAX_TOKENS, ge=1, le=MAX_TOKENS, description="Most tokens per answer.")
    seed: Seed = Field(default=None, description="Make varied answers repeatable.")
    response_format: ResponseFormat | None = None
    questions: tuple[TypedQuestion, ...] = Field(
        default=(),
        max_length=MAX_QUESTIONS,
        description="A table of questions in place of texts: each is asked about every image, and has a column of the results",
    )
    webhook: str | None = Field(
        default=None, max_length=2048, description="URL that is sent the folder when all of it has ended"
    )

    @model_validator(mode="after")
    def _check_questions(self) -> Self:
        if not self.questions:
            return self
        if self.prompt is not None or self.preset is not None or self.response_format is not None:
            raise PydanticCustomError(
                "invalid_request_error",
                "questions take the place of prompt, preset and response_format: leave these out.",
            )
        if DeliveryOptions.of(self if isinstance(self, DeliveryOptions) else None) != DeliveryOptions():
            raise PydanticCustomError(
                "invalid_request_error", "questions write no text files: leave out the options for texts and outputs."
            )
        check_names(self.questions)
        return self

    def asked(self, model: str) -> list[Question]:
        """Return the questions about each image for this model: the one of the texts, or those of the table."""
        question = Question.of(self, model, self.response_format)
        return [question.of_column(column) for column in self.questions] or [question]


# The wire's way to read numbers comes first: it has precedence over that of the command line.
class FolderBody(FolderOptions, CaptionOptions):
    """A folder below a served one (--allow-root). Each image gets a text file beside it, unless there are `questions`."""

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
    status: Literal["running", "paused", "ended"]
    description: str = Field(description="The path, or the names of the uploaded files")
    model: str
    priority: int = Field(description="Runs with a higher number go first")
    created_at: float
    finished_at: float | None
    counts: Counts
    rate: float | None = Field(description="Images per second, lately")
    seconds_left: float | None = Field(
        description="Estimated seconds until the end; null: unknown, or the folder is paused"
    )


def folder_object(batch: Batch, resources: Resources) -> Folder:
    """Return a folder with its progress."""
    progress = progress_of(resources.store, batch)
    counts = {status.value: progress.counts[status] for status in JobStatus}
    return Folder(
        id=batch.id,
        status="ended" if progress.has_ended else "running" if batch.paused_at is None else "paused",
        description=batch.description,
        model=public_name(batch.model),
        priority=batch.priority,
        created_at=batch.created_at,
        finished_at=progress.finished_at,
        counts=Counts(total=sum(counts.values()), **counts),
        rate=None if progress.rate is None else round(progress.rate, 3),
        seconds_left=None if progress.seconds_left is None else round(progress.seconds_left, 1),
    )
