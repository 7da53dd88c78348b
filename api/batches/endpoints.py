"""The lines of batches on the wire: bodies of requests and of answers, one row for each endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from api.dialects.anthropic.answers import message_of
from api.dialects.anthropic.translation import SCHEMA_PLACE, message_values
from api.dialects.conversation import chat_body
from api.dialects.responses.items import response_of
from api.dialects.responses.stored import continued_chat, unstored
from api.errors.body import ErrorBody, ErrorDetail, detail_of
from api.errors.translation import stored_error
from api.intake.ignored_parameters import refuse_ignored
from api.intake.validated_body import validated_body
from api.runtime.resources import Resources
from api.schemas.chat.chat_request import ChatCompletionBody, CompletionBody
from api.schemas.chat.chat_response import completion_of
from api.schemas.dialects.anthropic import AnthropicBody
from api.schemas.dialects.responses import ResponsesBody
from jobs.batches.feeding import LineResponse
from jobs.batches.rendering import result_line
from jobs.store.file_batches.batch_tables import FileBatch, ResultPart
from jobs.store.file_batches.file_lines import EndedLine, FileLines
from jobs.store.tables import Job


@dataclass(frozen=True)
class LineEndpoint:
    """An endpoint that lines may ask."""

    #: Makes the chat request of a line's body. Raises RequestValidationError, CaptionqError.
    chat: Callable[[dict[str, Any], Resources], CompletionBody]
    #: Renders the body of the answer.
    answer: Callable[[Job], dict[str, Any]]


def _completion(body: dict[str, Any], resources: Resources) -> CompletionBody:
    asked = validated_body(ChatCompletionBody, body)
    refuse_ignored(asked, resources.settings)
    return asked


def _response(body: dict[str, Any], resources: Resources) -> CompletionBody:
    asked = validated_body(ResponsesBody, body)
    refuse_ignored(asked, resources.settings)
    return continued_chat(asked, resources)


def _message(body: dict[str, Any], resources: Resources) -> CompletionBody:
    asked = validated_body(AnthropicBody, body)
    refuse_ignored(asked, resources.settings)
    return chat_body(message_values(asked), schema_place=SCHEMA_PLACE)


def _message_answer(job: Job) -> dict[str, Any]:
    return message_of(job, with_thoughts=job.parsed_request().thinking).model_dump(mode="json")


#: The endpoint of all lines of Anthropic's batches.
MESSAGES = "/v1/messages"
#: The endpoints that OpenAI's batches offer.
ENDPOINTS: Mapping[str, LineEndpoint] = {
    "/v1/chat/completions": LineEndpoint(_completion, lambda job: completion_of(job).model_dump(mode="json")),
    "/v1/responses": LineEndpoint(_response, lambda job: response_of(job, unstored(job)).model_dump(mode="json")),
}
#: The endpoints of all lines that are stored.
LINE_ENDPOINTS: Mapping[str, LineEndpoint] = {**ENDPOINTS, MESSAGES: LineEndpoint(_message, _message_answer)}


def result_pages(batch: FileBatch, part: ResultPart, lines: FileLines) -> Iterator[bytes]:
    """Yield the lines of one part that have ended, a hundred at a time, in the order of the input."""
    for page in lines.pages(batch.id, part):
        yield b"".join(rendered(batch, ended, part) for ended in page)


def rendered(batch: FileBatch, ended: EndedLine, part: ResultPart) -> bytes:
    """Return the result of one line as a line of JSON."""
    return result_line(batch, ended, part, answer=LINE_ENDPOINTS[batch.endpoint].answer, failure=failure_of)


def failure(status: int, detail: ErrorDetail) -> LineResponse:
    """Return the answer to a request that failed."""
    return LineResponse(status, ErrorBody(error=detail).model_dump())


def failure_of(job: Job) -> LineResponse:
    """Return the answer to a request whose job failed."""
    error = stored_error(job.error_code, job.error_message)
    return failure(error.status, detail_of(error))
