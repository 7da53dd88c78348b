"""Strict JSON bodies: Python's reader accepts more than JSON, which would break later code."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from jobs.errors import BodyTooLargeError

#: Most values of a body. Each becomes an object: a body of nothing but `{},` would take thirty times its size in memory, and
#: ten seconds. A thousand long requests have a third of this, commas in their texts included.
MAX_VALUES = 1_000_000
#: Bytes above which a body is parsed in a thread: a few large images take a tenth of a second.
PARSED_IN_THREAD = 1_000_000


class JSONRoute(APIRoute):
    """A route that reads its body as strict JSON.

    Refused are bodies that are not UTF-8, or have half a surrogate pair, NaN, a number of thousands of digits, hundreds of
    nested levels, or more than MAX_VALUES values.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            try:
                return await handle(_StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                # FastAPI wraps errors that it does not expect of a reader.
                if isinstance(error.__cause__, BodyTooLargeError):
                    raise error.__cause__ from None
                raise

        return read_strictly


def check_values(body: bytes) -> None:
    """Check the number of values before parsing. Raises BodyTooLargeError."""
    # Every value but the first follows a comma, and base64 has no commas.
    if body.count(b",") > MAX_VALUES:
        raise BodyTooLargeError(f"The body has more than {MAX_VALUES} values. Send it in parts.")


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        return await run_in_threadpool(_read, body) if len(body) > PARSED_IN_THREAD else _read(body)


def _read(body: bytes) -> Any:
    check_values(body)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        # FastAPI expects this error of a reader.
        raise json.JSONDecodeError(str(error), "", 0) from None
