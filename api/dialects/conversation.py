"""The one way from a chat request to its answer, which all dialects share: a job of the interactive lane, answered at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.intake.jobs import make_job, room_for
from api.intake.validated_body import validated_body
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.chat.chat_request import ChatCompletionBody, CompletionBody
from api.streaming.answer_form import AnswerForm
from api.streaming.chat_answer import ChatAnswer
from jobs.creation.create import Created, Creation, create
from jobs.creation.idempotency import find_repeated
from jobs.store.response_rows import StoredResponse
from jobs.store.tables import OPEN, Job, Lane

Body = TypeVar("Body", bound=ChatCompletionBody)
#: The place of the answer's form in a chat request, as pydantic tells it.
_FORMAT = ("body", "response_format", "json_schema", "json_schema")


async def answer(
    body: CompletionBody,
    form: Callable[[Job], AnswerForm],
    *,
    stream: bool,
    request: Request,
    resources: Resources,
    caller: Caller,
    idempotency_key: str | None = None,
    route: str = "chat",
    lane: Lane = Lane.INTERACTIVE,
    stored: Callable[[Job], StoredResponse] | None = None,
    outlives_client: bool = False,
) -> Response:
    """Queue the request, and return its answer in the dialect's form: whole, or as a stream.

    If the client closes the connection, the job is cancelled, unless it has an Idempotency-Key.

    Args:
        form: makes the form of the answer for the job.
        route: the name within which the key is unique.
        stored: makes the row by which the answer can be retrieved as a response; None: it cannot.
        outlives_client: the job goes on without its client in any case.
    """
    created = await run_in_threadpool(
        queue,
        body,
        resources,
        caller,
        idempotency_key=idempotency_key,
        route=route,
        lane=lane,
        stored=stored,
    )
    job = created.made
    assert isinstance(job, Job)
    request.scope["captionq.job"] = job.id
    outlives_client = outlives_client or created.repeated or idempotency_key is not None
    reply = ChatAnswer(job, request, resources, form(job), outlives_client=outlives_client, is_new=not created.repeated)
    try:
        return await (reply.stream() if stream else reply.whole())
    except Exception:
        # The job could not be followed, so the client will ask again: its first job must not run too.
        await reply.abandon()
        raise


def chat_body(
    values: dict[str, object],
    kind: type[Body] = ChatCompletionBody,  # type: ignore[assignment]
    *,
    schema_place: tuple[str, ...],
) -> Body:
    """Return the chat request with these fields, which a dialect has translated.

    `schema_place`: where the dialect's body has the answer's JSON schema, for errors. Raises RequestValidationError.
    """
    try:
        return validated_body(kind, values)
    except RequestValidationError as error:
        renamed = [{**one, "loc": _place_in_dialect(one["loc"], schema_place)} for one in error.errors()]
        raise RequestValidationError(renamed, body=error.body) from None


def _place_in_dialect(place: tuple[str | int, ...], schema_place: tuple[str, ...]) -> tuple[str | int, ...]:
    """Return the place of an error in the dialect's words, if it is about the answer's form."""
    if place[: len(_FORMAT)] != _FORMAT:
        return place
    field = place[len(_FORMAT) :]
    return schema_place if field[:1] == ("schema",) else (*schema_place[:-1], *field)


def queue(
    body: CompletionBody,
    resources: Resources,
    caller: Caller,
    *,
    idempotency_key: str | None = None,
    route: str = "chat",
    lane: Lane = Lane.INTERACTIVE,
    stored: Callable[[Job], StoredResponse] | None = None,
) -> Created:
    """Queue the request of a client that waits for its answer. Raises CaptionqError."""
    waits = lane is Lane.INTERACTIVE
    if idempotency_key is None and waits:
        # Before the images are stored.
        resources.check_worker()
    room = room_for(1, lane, resources, idempotency_key)
    job = make_job(body, resources, lane=lane, route=route, caller=caller, idempotency_key=idempotency_key)
    if idempotency_key is not None and waits:
        earlier = find_repeated(resources.store, job)
        if not isinstance(earlier, Job) or earlier.status in OPEN:
            resources.check_worker()
    creation = Creation([job], responses=[] if stored is None else [stored(job)], room=room)
    return create(creation, store=resources.store, connection=resources.connection, settings=resources.settings)
