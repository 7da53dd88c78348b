"""The reference beside the OpenAPI document: nothing of the document is left out, and any schema can be put into words."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from api.app import create_app
from api.pages.reference.document_view import DocumentView, references_in
from api.pages.reference.schema_view import KEYWORDS, schema_view, type_words
from api.pages.templates import render
from jobs.configuration.settings import Settings

ADDRESS = "http://127.0.0.1:8484"


@cache
def document() -> dict[str, Any]:
    """Return the document of the application."""
    return create_app(Settings(model="demo")).openapi()


@cache
def pages() -> dict[str, str]:
    """Return the HTML of each chapter, by its tag."""
    view = DocumentView(document(), ADDRESS, needs_key=True)
    return {tag: render("reference/chapter.html", view=view, chapter=view.chapter(tag)) for tag in view.tags}


def words_of(page: str) -> str:
    """Return the text of a page in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the operations of the document."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def plain(text: str) -> str:
    """Return a text of the document as the page shows it."""
    return " ".join(text.replace("`", "").split())


def test_every_operation_stands_in_its_chapter_with_its_parameters_answers_and_a_command() -> None:
    """Each status of the document is there, in the operation or among the common errors."""
    for method, path, operation in operations():
        (tag,) = operation["tags"]
        sections = re.findall(r'<section class="operation" id="([^"]+)"(.*?)</section>', pages()[tag], re.DOTALL)
        found = [section for _, section in sections if f"{method.upper()} {path} " in words_of(section)]
        assert len(found) == 1, (method, path)
        words = words_of(found[0])
        assert plain(operation["description"]) in words
        assert "curl -sS" in words
        for parameter in operation.get("parameters", ()):
            assert f"{parameter['name']} in the {parameter['in']}" in words
            assert plain(parameter.get("description", "")) in words
        for status in operation["responses"]:
            assert re.search(rf"\b{status}\b", words), (method, path, status)
        for media_type in operation.get("requestBody", {}).get("content", ()):
            assert f"Body: {media_type}" in words


def test_every_schema_stands_in_each_chapter_that_names_it() -> None:
    """With each of its fields and their descriptions. Every link within a page has its anchor, and no anchor is twice."""
    seen: set[str] = set()
    for page in pages().values():
        anchors = re.findall(r' id="([^"]+)"', page)
        assert len(anchors) == len(set(anchors))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= {*anchors, "main"}
        words = words_of(page)
        for name in set(anchors) & set(document()["components"]["schemas"]):
            seen.add(name)
            for field, schema in document()["components"]["schemas"][name].get("properties", {}).items():
                assert f"{name}.{field}" in anchors
                assert plain(schema.get("description", "")) in words
    assert seen == set(document()["components"]["schemas"])


def test_every_keyword_of_the_schemas_is_put_into_words() -> None:
    """A keyword that the document begins to use has to be described here too."""

    def keywords(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for one in schema:
                yield from keywords(one)
        if not isinstance(schema, dict):
            return
        yield from schema
        for name in ("anyOf", "oneOf", "allOf", "items", "additionalProperties", "propertyNames", "contentSchema"):
            yield from keywords(schema.get(name))
        for one in schema.get("properties", {}).values():
            yield from keywords(one)

    used = {name for schema in document()["components"]["schemas"].values() for name in keywords(schema)}
    assert used - KEYWORDS == set()


def test_every_body_of_json_has_an_example_that_its_schema_knows() -> None:
    """The names of the example's fields are those of the schema."""
    for method, path, operation in operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            names = {field for name in references_in(content["schema"]) for field in fields_of(name)}
            assert set(content["example"]) <= names, (method, path)


def fields_of(name: str) -> set[str]:
    """Return the names of a schema's fields."""
    return set(document()["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize(
    ("schema", "words", "limits"),
    [
        ({}, "any value", []),
        (
            {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2.0}, {"type": "null"}]},
            "integer or null",
            ["0 to 2"],
        ),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}, "maxItems": 3},
            "list of Tree",
            ["at most 3 items"],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
            "object with values: string",
            ["each value: at most 9 characters"],
        ),
        ({"enum": ["a", 1]}, '"a" or 1', []),
        ({"const": None}, "null", []),
        ({"type": ["string", "null"], "pattern": "^a$"}, "string or null", ["matches ^a$"]),
        ({"type": "number", "exclusiveMinimum": 0, "lt": 5}, "number", ["above 0", "below 5"]),
        ({"type": "string", "format": "binary"}, "file", []),
        (
            {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": "#/x/Options"}},
            "JSON of Options",
            [],
        ),
    ],
)
def test_types_and_limits_are_put_into_words(schema: dict[str, Any], words: str, limits: list[str]) -> None:
    """Numbers are whole if they can be."""
    view = schema_view("One", schema)
    assert " ".join(word.text for word in view.type) == words
    assert view.limits == limits


def test_a_schema_may_hold_itself_and_texts_of_the_document_stay_texts() -> None:
    """A tree of trees ends at its name; a description that is markup is escaped."""
    tree = {
        "description": "<b>A tree</b>",
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
        "required": ["children"],
    }
    operation = {
        "tags": ["trees"],
        "summary": "Get",
        "responses": {
            "200": {
                "description": "`t`",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}},
            }
        },
    }
    trees = {
        "info": {"title": "trees", "version": "1"},
        "tags": [{"name": "trees", "description": "Trees"}],
        "paths": {"/tree/{tree_id}": {"get": operation}},
        "components": {"schemas": {"Tree": tree}},
    }
    view = DocumentView(json.loads(json.dumps(trees)), ADDRESS, needs_key=True)
    page = render("reference/chapter.html", view=view, chapter=view.chapter("trees"))
    assert '<code>children</code> <span>list of <a href="#Tree">Tree</a></span> <b>required</b>' in page
    assert "&lt;b&gt;A tree&lt;/b&gt;" in page
    assert "It needs no key." in page
    assert "<code>t</code>" in page
    assert "$TREE_ID" in page
    assert [word.text for word in type_words({"$ref": "#/components/schemas/Tree"})] == ["Tree"]
