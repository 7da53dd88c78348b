"""The question of a run, and the rows that ask it: one job an image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self

from jobs.captions.field_values import existing_caption, field_values
from jobs.creation.existing_texts import PendingImage
from jobs.errors import MissingToolError, OutputChangedError, OutputError, OutputForbiddenError, OutputOccupiedError
from jobs.options.caption_options import QuestionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.options.templates import FILE_FIELDS, METADATA_FIELDS, fields_of, fill_known, fill_prompt, prompt_fields
from jobs.requests import Request, Sampling
from jobs.response_format import ResponseFormat
from jobs.settings import Settings
from jobs.store.store import Result
from jobs.store.tables import Batch, Job, Lane

#: The codes of jobs whose answer is there, and whose file could not be written.
OUTPUT_CODES = frozenset(
    error.code
    for error in (OutputError, OutputForbiddenError, OutputOccupiedError, OutputChangedError, MissingToolError)
)


#: Fields of a template that are known when a job is queued. Its other fields are those of the answer.
_IMAGE_FIELDS = FILE_FIELDS | METADATA_FIELDS


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

    def digest_of(self, image: Path) -> str:
        """Return the digest of a job about an image file, whatever the fields of its prompt and template are filled with.

        So a run that adds to texts, and has the text in its prompt, is recognized when it is repeated.
        """
        return self.digest_with_delivery(self.about(image))

    def digest_with_delivery(self, request: Request) -> str:
        """Return the digest of a job with this request."""
        delivery = self.delivery.stored
        return request.digest if delivery is None else digest_with(request.digest, delivery)

    @property
    def fields(self) -> set[str]:
        """The fields of the prompt and the template that each image fills."""
        template = self.delivery.template
        return prompt_fields(self.prompt) | (_IMAGE_FIELDS & fields_of(template) if template else set())

    def filled(self, values: Mapping[str, str]) -> Self:
        """Put the values of its `fields` into the prompt and the template."""
        delivery = self.delivery
        if delivery.template:
            known = {name: value for name, value in values.items() if name in _IMAGE_FIELDS}
            delivery = delivery.model_copy(update={"template": fill_known(delivery.template, known)})
        return replace(self, prompt=fill_prompt(self.prompt, values), delivery=delivery)

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


def job_about(
    pending: PendingImage,
    question: Question,
    batch: Batch,
    roots: str | None = None,
    *,
    settings: Settings | None = None,
) -> Job:
    """Make the row of one image of a batch.

    Args:
        roots: see `Job.roots`.
        settings: limits of images; needed if the prompt or the template has fields of metadata.
    """
    request = question.about(pending.image)
    job = Job(
        batch_id=batch.id,
        lane=Lane.BULK,
        model=question.model,
        request=request.model_dump_json(),
        digest=question.digest_with_delivery(request),
        delivery=question.delivery.stored,
        source=pending.image.as_uri(),
        output=pending.output.as_uri(),
        output_before=pending.before,
        roots=roots,
        error_code=None if pending.refusal is None else pending.refusal.code,
        error_message=None if pending.refusal is None else pending.refusal.message,
    )
    if pending.refusal is None and question.fields:
        filled = question.filled(_values(pending, question, job, settings))
        job.request, job.delivery = filled.about(pending.image).model_dump_json(), filled.delivery.stored
    return job


def _values(pending: PendingImage, question: Question, job: Job, settings: Settings | None) -> dict[str, str]:
    names = question.fields
    values = field_values(pending.image, names, settings, roots=job.parsed_roots())
    if "caption" in names:
        # A run without texts does not look at the text that is there: `before` tells nothing.
        is_read = pending.before is not None or not question.delivery.writes_text
        values["caption"] = existing_caption(pending.output) if is_read else ""
    return values


def digest_with(digest: str, delivery: str) -> str:
    """Return the digest of a request whose answer is delivered in another way than the default."""
    return hashlib.sha256(f"{digest} {delivery}".encode()).hexdigest()[:16]


def copy_of(job: Job, batch: Batch, roots: str | None) -> Job:
    """Make a new job that asks the same. If only the old job's file could not be written, the new job has its answer.

    `roots`: see `Job.roots`.
    """
    copied = {"model", "request", "digest", "source", "output", "output_before", "delivery", "lane", "streamed"}
    # If the old job's worker died after it had written the file, the new job knows the file.
    copied |= {"output_after", "output_text", "previous_text"}
    if job.finish_reason is not None and job.error_code in OUTPUT_CODES:
        copied |= {field.name for field in fields(Result)}
    return Job(batch_id=batch.id, roots=roots, **job.model_dump(include=copied))
