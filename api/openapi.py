"""The OpenAPI document, with the parts that FastAPI does not know: bodies that are JSON or a form, errors and headers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.openapi_examples import add_examples
from api.schemas.folder import FolderBody, FolderOptions

_TEXT = {"type": "string"}
#: Header of every response.
_REQUEST_ID = {"x-request-id": {"required": True, "schema": _TEXT, "description": "The request's id in the log"}}
_RETRY_AFTER = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next attempt"}
}
#: Headers by status.
_HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
    "429": _RETRY_AFTER,
    "503": _RETRY_AFTER,
}
#: Bounds of numbers, by the names that pydantic leaves where a validator of our own runs before them.
_BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_TEMPLATE = "#/components/schemas/{model}"


def install_openapi(app: FastAPI) -> None:
    """Let the application describe itself completely."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            _, folders = models_json_schema(
                [(FolderBody, "validation"), (FolderOptions, "validation")], ref_template=_TEMPLATE
            )
            document["components"]["schemas"] |= folders["$defs"]
            for path in document["paths"].values():
                for operation in path.values():
                    _describe_errors(operation["responses"])
                    _describe_headers(operation["responses"])
            for unused in ("HTTPValidationError", "ValidationError"):
                # FastAPI's own body of the status 422, which no route answers with.
                document["components"]["schemas"].pop(unused, None)
            add_examples(document)
            _name_bounds(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _describe_errors(responses: dict[str, Any]) -> None:
    # Invalid requests are answered with 400, as by OpenAI.
    responses.pop("422", None)
    for status, response in responses.items():
        if int(status) >= 400:
            # FastAPI documents an error under the media type of the route's own answer.
            (schema,) = response["content"].values()
            response["content"] = {"application/json": schema}


def _describe_headers(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        response["headers"] = _REQUEST_ID | _HEADERS.get(status, {}) | response.get("headers", {})


def _name_bounds(part: Any) -> None:
    """Give bounds the names that JSON Schema has for them: generators of clients know no others."""
    if isinstance(part, dict):
        if part.get("type") in ("integer", "number"):
            for name in _BOUNDS.keys() & part.keys():
                part[_BOUNDS[name]] = part.pop(name)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _name_bounds(inner)
