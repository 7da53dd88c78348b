"""Bodies are read as JSON alone: what Python's reader lets through besides breaks whoever handles it later."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json


class JSONRoute(APIRoute):
    """A route whose body is refused when it has half a surrogate pair, NaN, a number of thousands of digits or a nesting of
    hundreds of levels, or is no UTF-8.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return read_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            # What FastAPI expects of a reader.
            raise json.JSONDecodeError(str(error), "", 0) from None
