"""The fields that a stored response keeps beside its job, and the conversation that a later response continues."""

from __future__ import annotations

import json
from typing import Any

from api.dialects.conversation import chat_body
from api.dialects.responses.translation import SCHEMA_PLACE, chat_values
from api.runtime.resources import Resources
from api.schemas.chat.chat_response import has_answer
from api.schemas.dialects.responses import ContinuedBody, ResponsesBody
from jobs.errors import ConflictError, NotFoundError, TooManyImagesError
from jobs.requests import Message
from jobs.store.answers import answers_of
from jobs.store.response_rows import StoredResponse, find_response
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus

_PREFIX, _JOB_PREFIX = "resp_", "job_"
#: Status of a job that ended without an answer → words of an error.
_UNANSWERED: dict[str, str] = {JobStatus.CANCELLED: "was cancelled", JobStatus.FAILED: "has failed"}
#: Fields of the body that the response shows as they were sent.
_SHOWN = (
    "instructions",
    "previous_response_id",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "parallel_tool_calls",
    "background",
    "store",
    "metadata",
    "user",
)


def response_id(job_id: str) -> str:
    """Return the id of the response that a job answers."""
    return _PREFIX + job_id.removeprefix(_JOB_PREFIX)


def asked_in(body: ResponsesBody) -> dict[str, Any]:
    """Return the fields that the response shows as the client sent them."""
    shown = {name: value for name in _SHOWN if (value := getattr(body, name)) is not None}
    if body.text is not None and body.text.format is not None:
        shown["format"] = body.text.format.model_dump(by_alias=True, exclude_none=True)
    if body.tools:
        shown["tools"] = [tool.model_dump(exclude_none=True) for tool in body.tools]
        shown["tool_choice"] = body.tool_choice
    extra = body.model_extra or {}
    return shown | {name: extra[name] for name in ("reasoning", "truncation") if extra.get(name) is not None}


def row_of(job: Job, body: ResponsesBody, chat: ContinuedBody) -> StoredResponse:
    """Return the row of a new response, not yet stored."""
    return StoredResponse(job_id=job.id, asked=json.dumps(asked_in(body)), first_message=chat.first_new)


def find(store: Store, id_: str) -> tuple[Job, StoredResponse]:
    """Return a stored response and its job. Raises NotFoundError."""
    job_id = _JOB_PREFIX + id_.removeprefix(_PREFIX)
    stored = find_response(store.engine, job_id) if id_.startswith(_PREFIX) else None
    if stored is None:
        raise NotFoundError(f"Response '{id_}' not found. It was not stored, or has been deleted.")
    return store.job(job_id), stored


def conversation_of(store: Store, id_: str) -> list[Message]:
    """Return the messages that a response's successor continues: its conversation without its instructions, and its answer.

    Raises NotFoundError, and ConflictError for a response without an answer.
    """
    job, stored = find(store, id_)
    if not has_answer(job):
        state = _UNANSWERED.get(job.status, "has no answer yet")
        raise ConflictError(f"Response '{id_}' {state}, so its conversation cannot go on.")
    messages = job.parsed_request().messages
    own = 1 if json.loads(stored.asked).get("instructions") else 0
    answer = Message(role="assistant", content=job.text or "", tool_calls=answers_of(job)[0].calls)
    return [*messages[own:], answer]


def unstored(job: Job) -> StoredResponse:
    """Return the row of a response that is not stored, such as a batch's: it shows what the job's request says."""
    request = job.parsed_request()
    shown = {
        "max_output_tokens": request.sampling.max_tokens,
        "temperature": request.sampling.temperature,
        "store": False,
    }
    return StoredResponse(job_id=job.id, asked=json.dumps(shown), first_message=0)


def continued_chat(body: ResponsesBody, resources: Resources) -> ContinuedBody:
    """Return the chat request of a body, with the conversation that it continues. Raises CaptionqError."""
    chat = chat_body(chat_values(body), ContinuedBody, schema_place=SCHEMA_PLACE)
    earlier = [] if body.previous_response_id is None else conversation_of(resources.store, body.previous_response_id)
    images = sum(len(message.images) for message in earlier) + len(chat.images())
    if images > resources.settings.max_images:
        raise TooManyImagesError(
            f"The conversation has {images} images; the limit is {resources.settings.max_images} (CAPTIONQ_MAX_IMAGES)."
        )
    chat.continue_after(earlier, has_instructions=bool(body.instructions))
    return chat
