"""The question of a run, and the rows that ask it: one job an image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from jobs.answer_format.response_format import AnswerFormat
from jobs.captions.field_values import existing_caption, field_values
from jobs.captions.text_places import TextPlace
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.errors import (
    InvalidRequestError,
)
from jobs.models.model_info import is_built_in
from jobs.mounts import file_addresses, mounts
from jobs.objects.paths import is_object
from jobs.options.answers.length import LengthOptions
from jobs.options.caption_options import QuestionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.options.prompts.templates import (
    FILE_FIELDS,
    METADATA_FIELDS,
    fields_of,
    fill_known,
    fill_prompt,
    prompt_fields,
)
from jobs.options.prompts.typed_question import TypedQuestion
from jobs.options.prompts.weighted_prompts import WeightedPrompt, choose_prompt
from jobs.requests import Request, RequestTemplate, address_of, digest_of, placeholder
from jobs.sampling import Sampling
from jobs.store.tables import Batch, Job, Lane

#: Options that become fields of each request under the same names.
_OTHERS = ("cache", "system", "detail", "max_pixels", "near_duplicates", "frames")
#: Returns those of the wanted fields that are known about an image file without a look into the file.
KnownFields = Callable[[Path, Collection[str]], dict[str, str]]
#: Fields of a template that are known when a job is queued. Its other fields are those of the answer.
_IMAGE_FIELDS = FILE_FIELDS | METADATA_FIELDS


@dataclass(frozen=True)
class Question:
    """A question that is asked about every image of a run."""

    model: str
    #: Several prompts: each image gets one.
    prompt: str | Sequence[WeightedPrompt]
    sampling: Sampling
    #: None: free text.
    response_format: AnswerFormat | None = None
    delivery: DeliveryOptions = field(default_factory=DeliveryOptions)
    #: The other values of `Request.about_image`.
    others: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the preset removes openers. `delivery` has only the user's own choice.
    removes_openers: bool = False
    #: The column that the answers fill; None: the answers belong to no table of questions.
    column: TypedQuestion | None = None
    #: The values that the program from which the images come knows; None: the files tell all.
    known: KnownFields | None = None

    def of_column(self, column: TypedQuestion) -> Self:
        """Return the question of a table's column, asked with the same model and settings."""
        return replace(self, prompt=column.prompt, response_format=column.response_format, column=column)

    @classmethod
    def of(cls, options: QuestionOptions, model: str, response_format: AnswerFormat | None) -> Self:
        """Make the question that the options of a run ask. Raises InvalidRequestError if they do not go together."""
        for name in ("vocabulary", *LengthOptions.model_fields):
            if response_format is not None and getattr(options, name):
                raise InvalidRequestError(f"Give either a schema or {name}, not both.")
        delivery = DeliveryOptions.of(options if isinstance(options, DeliveryOptions) else None)
        others = {name: getattr(options, name) for name in _OTHERS} | options.limits
        shape = response_format or options.keyword_format
        wordings = options.wordings(demo=is_built_in(model))
        return cls(model, wordings, options.sampling, shape, delivery, others, options.removes_openers)

    def prompt_for(self, image: Path | str) -> str:
        """Return the prompt for an image file, or for the image at an address."""
        if isinstance(self.prompt, str):
            return self.prompt
        if len(self.prompt) == 1:
            return self.prompt[0].prompt
        address = image if isinstance(image, str) else address_of(image)
        return choose_prompt(self.prompt, address, self.sampling.seed or 0)

    def stored_request(self, address: str) -> str:
        """Return the JSON of the request about the image at an address (`Request.stored`)."""
        prompt = self.prompt_for(address)
        if (template := self._templates.get(prompt)) is None:
            template = self._templates[prompt] = RequestTemplate.of(self.about(placeholder(), prompt))
        return template.stored(address)

    @cached_property
    def _templates(self) -> dict[str, RequestTemplate]:
        """The templates of the question's prompts."""
        return {}

    @cached_property
    def stored_delivery(self) -> str | None:
        """JSON of the delivery with the choices of the preset; None: all options are at their defaults.

        A job's digest leaves the preset's choices out, so that runs of older versions are recognized.
        """
        delivery = self.delivery
        if self.removes_openers and delivery.strip_openers is None:
            delivery = delivery.model_copy(update={"strip_openers": True})
        return delivery.stored

    def digest_of(self, image: Path) -> str:
        """Return the digest of a job about an image file, whatever the fields of its prompt and template are filled with.

        So a run that adds to texts, and has the text in its prompt, is recognized when it is repeated.
        """
        return self.digest_of_stored(self.stored_request(address_of(image)))

    def digest_of_stored(self, request: str) -> str:
        """Return the digest of a job with this request (`Request.stored`)."""
        digest = digest_of(request)
        return digest if self._deviation is None else digest_with(digest, self._deviation)

    @cached_property
    def _deviation(self) -> str | None:
        return self.delivery.stored

    @cached_property
    def fields(self) -> set[str]:
        """The fields of the prompt and the template that each image fills."""
        template = self.delivery.template
        prompts = [self.prompt] if isinstance(self.prompt, str) else [one.prompt for one in self.prompt]
        return set().union(*map(prompt_fields, prompts)) | (_IMAGE_FIELDS & fields_of(template) if template else set())

    def filled(self, values: Mapping[str, str]) -> Self:
        """Put the values of its `fields` into the prompt and the template."""
        delivery = self.delivery
        if delivery.template:
            known = {name: value for name, value in values.items() if name in _IMAGE_FIELDS}
            delivery = delivery.model_copy(update={"template": fill_known(delivery.template, known)})
        if isinstance(self.prompt, str):
            return replace(self, prompt=fill_prompt(self.prompt, values), delivery=delivery)
        filled = [one.model_copy(update={"prompt": fill_prompt(one.prompt, values)}) for one in self.prompt]
        return replace(self, prompt=filled, delivery=delivery)

    def about(self, image: Path | str, prompt: str | None = None) -> Request:
        """Ask the question, or one of its prompts, about an image file, or about the image at an address."""
        return Request.about_image(
            image,
            model=self.model,
            prompt=self.prompt_for(image) if prompt is None else prompt,
            sampling=self.sampling,
            response_format=self.response_format,
            **self.others,
        )


def job_about(
    pending: PendingImage,
    question: Question,
    batch: Batch,
    roots: str | None = None,
    *,
    position: int = 0,
    settings: Settings | None = None,
) -> Job:
    """Make the row of one image of a batch.

    Args:
        position: see `Job.position`.
        roots: see `Job.roots`.
        settings: limits of images; needed if the prompt or the template has fields of metadata.
    """
    address, output = _addresses(pending.place)
    request = question.stored_request(address)
    job = Job(
        batch_id=batch.id,
        lane=Lane.BULK,
        position=position,
        model=question.model,
        request=request,
        digest=question.digest_of_stored(request),
        delivery=question.stored_delivery,
        source=address,
        output=output,
        output_before=pending.before,
        roots=roots,
        error_code=None if pending.refusal is None else pending.refusal.code,
        error_message=None if pending.refusal is None else pending.refusal.message,
    )
    if pending.refusal is None and question.fields:
        filled = question.filled(_values(pending, question, job, settings))
        job.request, job.delivery = filled.about(pending.image).stored, filled.stored_delivery
    return job


def _addresses(place: TextPlace) -> tuple[str, str]:
    """Return the addresses of an image and of its text. Making both paths would take as long as the rest of the row."""
    if place.folder is place.text_folder and not mounts().pairs and not is_object(place.folder):
        image, text = file_addresses(place.folder, (place.name, place.text_name))
        return image, text
    return address_of(place.image), address_of(place.output)


def _values(pending: PendingImage, question: Question, job: Job, settings: Settings | None) -> dict[str, str]:
    names = question.fields
    values = {} if question.known is None else question.known(pending.image, names)
    values |= field_values(pending.image, names - values.keys(), settings, roots=job.parsed_roots())
    if "caption" in names:
        # A run without texts does not look at the text that is there: `before` tells nothing.
        is_read = pending.before is not None or not question.delivery.writes_text
        values["caption"] = existing_caption(pending.output) if is_read else ""
    return values


def answer_job(
    image: Path | str, question: Question, batch: Batch, *, name: str | None = None, roots: str | None = None
) -> Job:
    """Make the row of a question of a batch whose answer is written to no file beside the image.

    Args:
        image: the file, or the image's address.
        name: the name to show for an address.
        roots: see `Job.roots`.
    """
    request = question.about(image)
    return Job(
        batch_id=batch.id,
        lane=Lane.BULK,
        model=question.model,
        request=request.stored,
        digest=request.digest,
        source=name or (image if isinstance(image, str) else address_of(image)),
        question=None if question.column is None else question.column.model_dump_json(),
        roots=roots,
    )


def digest_with(digest: str, delivery: str) -> str:
    """Return the digest of a request whose answer is delivered in another way than the default."""
    return hashlib.sha256(f"{digest} {delivery}".encode()).hexdigest()[:16]
