"""Tools of a request, and calls as rows and streams hold them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobs.requests import Message, Request
from jobs.tools import FunctionTool, ToolCall, Tools, call_id, calls_of, calls_text, stored_calls
from tests.support.tools import weather_and_time


def test_a_request_without_tools_is_stored_as_before() -> None:
    """A row that an older version queued keeps its digest, and a newer row has no empty fields."""
    request = Request(model="demo", messages=[Message(role="user", content="Hello")])
    assert request.digest == "d60b40378b865042"
    assert request.messages[0].model_dump() == {"role": "user", "content": "Hello"}
    assert request.model_copy(update={"tools": weather_and_time()}).digest != request.digest


@pytest.mark.parametrize(
    ("parameters", "strict", "expected"),
    [
        ({}, None, {"type": "object", "properties": {}, "additionalProperties": False}),
        (
            {"properties": {"a": {"type": "string"}}},
            None,
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}},
            True,
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "additionalProperties": False,
                "required": ["a"],
            },
        ),
        ({"type": "object", "additionalProperties": True}, None, {"type": "object", "additionalProperties": True}),
    ],
)
def test_arguments_are_those_that_the_parameters_name(
    parameters: dict[str, object], strict: bool | None, expected: dict[str, object]
) -> None:
    """Further arguments would be errors in the client's function; `strict` also requires all of them."""
    assert FunctionTool(name="f", parameters=parameters, strict=strict).arguments_schema == expected


def test_tools_that_cannot_be_used_are_refused() -> None:
    """The reason names the culprit."""
    one = FunctionTool(name="f")
    for make, reason in (
        (lambda: FunctionTool(name="f", parameters={"type": "string"}), "of type object"),
        (lambda: FunctionTool(name="f", parameters={"properties": {"a": {"type": "what"}}}), "cannot be followed"),
        (lambda: Tools(functions=(one, one)), "Two tools have the name 'f'"),
        (lambda: Tools(functions=(one,), allowed=("g",)), "'g', which is not one of the tools"),
    ):
        with pytest.raises(ValidationError, match=reason):
            make()


def test_calls_are_the_same_in_rows_and_streams() -> None:
    """The text of a stream becomes the row's calls, and these the same text; half a name is no call."""
    text = 'get_weather\n{"city": "Paris"}\nget_time\n{}\n'
    stored = stored_calls(text)
    assert stored == [
        {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        {"name": "get_time", "arguments": "{}"},
    ]
    calls = calls_of([{"name": "get_weather", "arguments": "{}"}], "job_0123")
    assert calls == (ToolCall(id=call_id("job_0123", 0), name="get_weather", arguments="{}"),)
    assert calls_text(ToolCall(id="x", **one) for one in stored) == text
    assert stored_calls('get_weather\n{"ci') == [{"name": "get_weather", "arguments": '{"ci'}]
    assert stored_calls("") == []
