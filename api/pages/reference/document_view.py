"""The OpenAPI document as chapters of operations, a chapter a tag, each with the schemas that its operations name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.pages.reference.operation_code import operation_code
from api.pages.reference.schema_view import (
    FieldView,
    SchemaView,
    Word,
    field_view,
    fields_of,
    name_of,
    schema_view,
    type_words,
)

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
#: The header of every response, which is described once.
_REQUEST_ID = "x-request-id"


@dataclass(frozen=True)
class BodyView:
    """A body that an operation takes, and the command that sends an example of it."""

    media_type: str
    type: list[Word]
    #: The schema whose place in the chapter is this body; None: it has no name, or stands elsewhere.
    schema: SchemaView | None
    #: The fields that are shown here.
    fields: list[FieldView]
    code: str


@dataclass(frozen=True)
class AnswerView:
    """An answer of an operation: its status, and the type of each media type of its body."""

    status: str
    description: str
    bodies: list[tuple[str, list[Word]]]
    headers: list[FieldView]


@dataclass(frozen=True)
class OperationView:
    """An operation of the API."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    needs_key: bool
    parameters: list[tuple[str, FieldView]]
    bodies: list[BodyView]
    answers: list[AnswerView]
    #: Errors that are described once for all operations, and their bodies.
    common: list[AnswerView]
    #: The command of an operation without a body.
    code: str


@dataclass(frozen=True)
class Chapter:
    """The operations of one tag."""

    tag: str
    description: str
    operations: list[OperationView]
    schemas: list[SchemaView]


class DocumentView:
    """The views of one OpenAPI document."""

    def __init__(self, document: dict[str, Any], address: str, *, needs_key: bool) -> None:
        """Prepare the views; `address`: the server's origin; `needs_key`: the server has API keys."""
        self.title = document["info"]["title"]
        self.version = document["info"]["version"]
        self._document = document
        self._address = address
        self._needs_key = needs_key
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        self._common = self._common_answers()

    @property
    def common(self) -> list[AnswerView]:
        """The errors that most operations may answer with, without their bodies."""
        found = {status: answer for _, _, one in self._operations() for status, answer in self._common_of(one)}
        return [_answer(status, {**found[status], "content": {}}) for status in sorted(found)]

    @property
    def tags(self) -> list[str]:
        """The names of the chapters in their order."""
        return [tag["name"] for tag in self._document["tags"]]

    def chapters(self) -> list[Chapter]:
        """Return the chapters in the order of the document's tags."""
        return [self._chapter(tag["name"], tag["description"]) for tag in self._document["tags"]]

    def chapter(self, tag: str) -> Chapter | None:
        """Return the chapter of a tag; None: there is no such tag."""
        found = next((one for one in self._document["tags"] if one["name"] == tag), None)
        return None if found is None else self._chapter(tag, found["description"])

    def _chapter(self, tag: str, description: str) -> Chapter:
        mine = [one for one in self._operations() if tag in one[2]["tags"]]
        shown: set[str] = set()
        operations = [self._operation(*one, shown) for one in mine]
        names = [name for name in self._reachable([one for _, _, one in mine]) if name not in shown]
        return Chapter(tag, description, operations, [schema_view(name, self._schemas[name]) for name in names])

    def _operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self._document["paths"].items():
            for method in _METHODS:
                if method in methods:
                    yield method, path, methods[method]

    def _operation(self, method: str, path: str, operation: dict[str, Any], shown: set[str]) -> OperationView:
        """Return the view of an operation; `shown`: names of the schemas whose fields stand in the chapter, to be added to."""
        common = dict(self._common_of(operation))
        answers = operation["responses"].items()
        needs_key = self._needs_key and bool(operation.get("security"))
        contents = operation.get("requestBody", {}).get("content", {})

        def command(content: tuple[str, Any] | None) -> str:
            return operation_code(method, path, self._address, needs_key=needs_key, content=content)

        return OperationView(
            anchor=anchor_of(method, path),
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation.get("description", ""),
            needs_key=bool(operation.get("security")),
            parameters=[
                (
                    one["in"],
                    field_view(
                        one["name"], one["schema"], is_required=one["required"], description=one.get("description", "")
                    ),
                )
                for one in operation.get("parameters", ())
            ],
            bodies=[
                self._body(media_type, content["schema"], command((media_type, self._unfolded(content))), shown)
                for media_type, content in contents.items()
            ],
            answers=[_answer(status, one) for status, one in sorted(answers) if status not in common],
            common=[_answer(status, one) for status, one in sorted(common.items())],
            code="" if contents else command(None),
        )

    def _body(self, media_type: str, schema: dict[str, Any], code: str, shown: set[str]) -> BodyView:
        if "$ref" not in schema:
            return BodyView(media_type, type_words(schema), None, fields_of(schema), code)
        name = name_of(schema["$ref"])
        if name in shown:
            return BodyView(media_type, type_words(schema), None, [], code)
        shown.add(name)
        view = schema_view(name, self._schemas[name])
        return BodyView(media_type, type_words(schema), view, view.fields, code)

    def _unfolded(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the description of a body with its schema in the place of the schema's name."""
        schema = content["schema"]
        return {**content, "schema": self._schemas[name_of(schema["$ref"])] if "$ref" in schema else schema}

    def _common_answers(self) -> set[tuple[str, str]]:
        """Return the status and the description of each error that more than half of the operations have."""
        operations = [one for _, _, one in self._operations()]
        counted = Counter(
            (status, answer["description"])
            for one in operations
            for status, answer in one["responses"].items()
            if status >= "400"
        )
        return {answer for answer, count in counted.items() if 2 * count > len(operations)}

    def _common_of(self, operation: dict[str, Any]) -> list[tuple[str, Any]]:
        answers = operation["responses"].items()
        return [(status, answer) for status, answer in answers if (status, answer["description"]) in self._common]

    def _reachable(self, parts: list[Any]) -> list[str]:
        """Return the names of all schemas that these parts of the document lead to, each once, by the alphabet."""
        found: set[str] = set()
        waiting = [name for part in parts for name in references_in(part)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += references_in(self._schemas[name])
        return sorted(found)


def anchor_of(method: str, path: str) -> str:
    """Return the anchor of an operation in its chapter, such as `post-v1-jobs`."""
    words = re.sub(r"\W+", "-", path).strip("-")
    return f"{method}-{words}"


def references_in(part: Any) -> Iterator[str]:
    """Yield the names of the schemas that a part of a document names."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield name_of(reference)
        for name, one in part.items():
            # An example is a value, and no schema.
            if name != "example":
                yield from references_in(one)
    elif isinstance(part, list):
        for one in part:
            yield from references_in(one)


def _answer(status: str, answer: dict[str, Any]) -> AnswerView:
    bodies = [
        (media_type, type_words(content.get("schema"))) for media_type, content in answer.get("content", {}).items()
    ]
    headers = [
        field_view(name, one["schema"], is_required=False, description=one.get("description", ""))
        for name, one in answer.get("headers", {}).items()
        if name != _REQUEST_ID
    ]
    return AnswerView(status, answer["description"], bodies, headers)
