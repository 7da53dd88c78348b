"""Strict JSON bodies: Python's reader accepts more than JSON, which would break later code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.intake.ignored_parameters import add_ignored_header
from jobs.errors import BodyTooLargeError, InvalidRequestError

#: Most values of a body. Each becomes an object: a body of nothing but `{},` would take thirty times its size in memory, and
#: ten seconds. A thousand long requests have a third of this, commas in their texts included.
MAX_VALUES = 1_000_000
#: Bytes above which a body is parsed in a thread: a few large images take a tenth of a second.
PARSED_IN_THREAD = 1_000_000
_JSON_TYPE = re.compile(r"\s*application/(?:[\w.-]+\+)?json\b", re.IGNORECASE)


class JSONRoute(APIRoute):
    """A route that reads its body as strict JSON, whatever its Content-Type says: `curl -d` names a form's.

    Refused are bodies that are not UTF-8, or have half a surrogate pair, NaN, a number of thousands of digits, hundreds of
    nested levels, or more than MAX_VALUES values.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            said_type = request.headers.get("content-type", "")
            _say_json(request.scope)
            strict = _StrictRequest(request.scope, request.receive)
            strict.said_type = said_type
            try:
                response = await handle(strict)
            except HTTPException as error:
                # FastAPI wraps errors that it does not expect of a reader.
                if isinstance(error.__cause__, InvalidRequestError):
                    raise error.__cause__ from None
                raise
            add_ignored_header(response, request)
            return response

        return read_strictly


def check_values(body: bytes) -> None:
    """Check the number of values before parsing. Raises BodyTooLargeError."""
    # Every value but the first follows a comma, and base64 has no commas.
    if body.count(b",") > MAX_VALUES:
        raise BodyTooLargeError(f"The body has more than {MAX_VALUES} values. Send it in parts.")


class _StrictRequest(Request):
    #: The Content-Type as the client sent it.
    said_type = ""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return await run_in_threadpool(_read, body) if len(body) > PARSED_IN_THREAD else _read(body)
        except json.JSONDecodeError as error:
            if _JSON_TYPE.match(self.said_type):
                raise
            said = f"its Content-Type is '{self.said_type[:100]}'" if self.said_type else "it has no Content-Type"
            raise InvalidRequestError(
                f"The body is not valid JSON ({error.msg}), and {said}. "
                "Send JSON, with the header Content-Type: application/json."
            ) from None


def _say_json(scope: Scope) -> None:
    """Give the request JSON's Content-Type, without which FastAPI would not parse the body."""
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    scope["headers"] = [*others, (b"content-type", b"application/json")]


def _read(body: bytes) -> Any:
    check_values(body)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        # FastAPI expects this error of a reader.
        raise json.JSONDecodeError(str(error), "", 0) from None
