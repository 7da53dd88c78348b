"""Bodies are read as JSON alone: what Python's reader lets through besides breaks whoever handles it later."""

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

#: Values of a body: each becomes an object, and a body of nothing but `{},` would take thirty times its size in memory, and
#: ten seconds. A thousand long requests have a third of it, commas in their texts counted.
MOST_VALUES = 1_000_000
#: Bytes of a body that is read beside the loop: a few large images take a tenth of a second.
LARGE = 1_000_000


class JSONRoute(APIRoute):
    """A route whose body is refused when it has half a surrogate pair, NaN, a number of thousands of digits or a nesting of
    hundreds of levels or more than MOST_VALUES values, or is no UTF-8.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            try:
                return await handle(_StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                # What FastAPI makes of an error that it does not expect of a reader.
                if isinstance(error.__cause__, BodyTooLargeError):
                    raise error.__cause__ from None
                raise

        return read_strictly


def check_values(body: bytes) -> None:
    """Before any of it is read. Raises BodyTooLargeError."""
    # No value comes after another one without a comma, and in base64 there is none.
    if body.count(b",") > MOST_VALUES:
        raise BodyTooLargeError(f"The body has more than {MOST_VALUES} values. Send it in parts.")


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        return await run_in_threadpool(_read, body) if len(body) > LARGE else _read(body)


def _read(body: bytes) -> Any:
    check_values(body)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        # What FastAPI expects of a reader.
        raise json.JSONDecodeError(str(error), "", 0) from None
