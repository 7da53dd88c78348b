"""The OpenAPI document, where FastAPI cannot know all of it: a body that is JSON or a form."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.schemas.folder import FolderBody, FolderOptions

_TEXT = {"type": "string"}
_ANY = {"x-request-id": {"required": True, "schema": _TEXT, "description": "As it is in the log"}}
_LATER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until it may be worth trying again"}}
#: Headers by status.
_HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
    "429": _LATER,
    "503": _LATER,
}
_TEMPLATE = "#/components/schemas/{model}"


def install_openapi(app: FastAPI) -> None:
    """Let the application describe itself in full."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            _, folders = models_json_schema(
                [(FolderBody, "validation"), (FolderOptions, "validation")], ref_template=_TEMPLATE
            )
            document["components"]["schemas"] |= folders["$defs"]
            for path in document["paths"].values():
                for operation in path.values():
                    _tell_of_errors(operation["responses"])
                    _tell_of_headers(operation["responses"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _tell_of_errors(responses: dict[str, Any]) -> None:
    # Invalid requests are 400 here, as with OpenAI.
    responses.pop("422", None)
    for status, response in responses.items():
        if int(status) >= 400:
            # FastAPI writes down an error under the media type of the route's own answer.
            (schema,) = response["content"].values()
            response["content"] = {"application/json": schema}


def _tell_of_headers(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        response["headers"] = _ANY | _HEADERS.get(status, {})
