"""The question of a run, and the rows that ask it: one job an image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from jobs.creation.existing_texts import PendingImage
from jobs.errors import MissingToolError, OutputChangedError, OutputError, OutputForbiddenError, OutputOccupiedError
from jobs.options.caption_options import QuestionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.requests import Request, Sampling
from jobs.response_format import ResponseFormat
from jobs.store.store import Result
from jobs.store.tables import Batch, Job, Lane

#: The codes of jobs whose answer is there, and whose file could not be written.
OUTPUT_CODES = frozenset(
    error.code
    for error in (OutputError, OutputForbiddenError, OutputOccupiedError, OutputChangedError, MissingToolError)
)


@dataclass(frozen=True)
class Question:
    """A question that is asked about every image of a run."""

    model: str
    prompt: str
    sampling: Sampling
    #: None: free text.
    response_format: ResponseFormat | None = None
    delivery: DeliveryOptions = field(default_factory=DeliveryOptions)
    #: Whether an earlier answer may be given again.
    cache: bool = True

    @classmethod
    def of(cls, options: QuestionOptions, model: str, response_format: ResponseFormat | None) -> Self:
        """Make the question that the options of a run ask."""
        delivery = DeliveryOptions.of(options if isinstance(options, DeliveryOptions) else None)
        return cls(model, options.wording, options.sampling, response_format, delivery, options.cache)

    def about(self, image: Path | str) -> Request:
        """Ask the question about an image file, or about the image at an address."""
        return Request.about_image(
            image,
            model=self.model,
            prompt=self.prompt,
            sampling=self.sampling,
            response_format=self.response_format,
            cache=self.cache,
        )


def job_about(pending: PendingImage, question: Question, batch: Batch, roots: str | None = None) -> Job:
    """Make the row of one image of a batch. `roots`: see `Job.roots`."""
    request, delivery = question.about(pending.image), question.delivery.stored
    return Job(
        batch_id=batch.id,
        lane=Lane.BULK,
        model=question.model,
        request=request.model_dump_json(),
        digest=request.digest if delivery is None else digest_with(request.digest, delivery),
        delivery=delivery,
        source=pending.image.as_uri(),
        output=pending.output.as_uri(),
        output_before=pending.before,
        roots=roots,
        error_code=None if pending.refusal is None else pending.refusal.code,
        error_message=None if pending.refusal is None else pending.refusal.message,
    )


def digest_with(digest: str, delivery: str) -> str:
    """Return the digest of a request whose answer is delivered in another way than the default."""
    return hashlib.sha256(f"{digest} {delivery}".encode()).hexdigest()[:16]


def copy_of(job: Job, batch: Batch, roots: str | None) -> Job:
    """Make a new job that asks the same. If only the old job's file could not be written, the new job has its answer.

    `roots`: see `Job.roots`.
    """
    copied = {"model", "request", "digest", "source", "output", "output_before", "delivery", "lane", "streamed"}
    if job.finish_reason is not None and job.error_code in OUTPUT_CODES:
        copied |= {field.name for field in fields(Result)}
    return Job(batch_id=batch.id, roots=roots, **job.model_dump(include=copied))
