"""Bodies of other dialects as chat requests: conversations with tools, images and earlier thoughts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from api.dialects.anthropic.translation import counted_values, message_values
from api.dialects.ollama.translation import asks_to_unload, generate_values, model_name, tagged
from api.dialects.ollama.translation import chat_values as ollama_values
from api.dialects.responses.translation import chat_values as response_values
from api.errors.validation import validation_detail
from api.schemas.dialects.anthropic import AnthropicBody, AnthropicPrompt
from api.schemas.dialects.ollama import OllamaChatBody, OllamaGenerateBody
from api.schemas.dialects.responses import ResponsesBody
from jobs.errors import InvalidRequestError

CALL = {"name": "weather", "arguments": '{"city": "Rome"}'}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
#: The same conversation in the words of chat completions.
MESSAGES = [
    {"role": "user", "content": "How is it in Rome?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": CALL}]},
    {"role": "tool", "tool_call_id": "c1", "content": "Sunny."},
]
#: More characters than a stop string or the id of a call may have.
LONG = "x" * 257
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}


def test_anthropics_tools_become_messages_of_their_own() -> None:
    """Blocks of one message become the message of the results, and one of the rest."""
    body = AnthropicBody.model_validate(
        {
            "messages": [
                {"role": "user", "content": "How is it in Rome?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "Sunny."},
                        {"type": "text", "text": "And now?"},
                    ],
                },
            ],
            "tools": [{"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
    )
    values = message_values(body)
    assert values["messages"] == [*MESSAGES, {"role": "user", "content": [{"type": "text", "text": "And now?"}]}]
    assert (values["tools"], values["tool_choice"], values["parallel_tool_calls"]) == ([TOOL], "required", False)
    assert values["enable_thinking"] is True
    assert list(body.ignored()) == ["thinking.budget_tokens"]
    counted = counted_values(AnthropicPrompt.model_validate(body.model_dump(exclude_none=True)))
    assert (counted["tools"], counted["max_tokens"]) == ([TOOL], 1)
    assert "tool_choice" not in counted
    one = {"type": "tool", "name": "weather"}
    named = body.model_copy(update={"tool_choice": type(body.tool_choice).model_validate(one)})  # type: ignore[union-attr]
    assert message_values(named)["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_an_answer_that_is_begun_for_the_model_is_refused() -> None:
    """The templates cannot continue a message."""
    body = AnthropicBody.model_validate({"messages": [{"role": "assistant", "content": "I"}]})
    with pytest.raises(InvalidRequestError, match="End with a user's message"):
        message_values(body)


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        (AnthropicBody, {"stop_sequences": list("abcde")}, "stop_sequences"),
        (AnthropicBody, {"tools": [{"name": "no name", "input_schema": SCHEMA}]}, "tools.0.name"),
        (AnthropicBody, {"tool_choice": {"type": "tool"}}, "tool_choice"),
        (
            AnthropicBody,
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": LONG, "name": "a"}]}]},
            "messages.0.content.0.id",
        ),
        (
            AnthropicBody,
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": LONG}]}]},
            "messages.0.content.0.tool_use_id",
        ),
        (OllamaGenerateBody, {"options": {"stop": list("abcde")}}, "options.stop"),
        (OllamaChatBody, {"options": {"stop": LONG}}, "options.stop"),
        (
            ResponsesBody,
            {"input": [{"type": "function_call", "call_id": LONG, "name": "a", "arguments": "{}"}]},
            "input.0.call_id",
        ),
        (
            ResponsesBody,
            {"input": [{"type": "function_call_output", "call_id": LONG, "output": "a"}]},
            "input.0.call_id",
        ),
    ],
)
def test_a_refusal_names_the_clients_field(kind: type[BaseModel], body: dict[str, Any], param: str) -> None:
    """The chat request's own limits come later, and name its fields: `stop` instead of `stop_sequences`."""
    body = {"messages": [{"role": "user", "content": "Hello"}], **body} if kind is AnthropicBody else body
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.value.errors()]
    assert validation_detail(errors, body).param == param


def test_ollamas_results_find_their_calls() -> None:
    """By the function's name, or else in their order: Ollama's calls have no ids."""
    body = OllamaChatBody.model_validate(
        {
            "messages": [
                {"role": "user", "content": "How is it in Rome?"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"function": {"name": "clock", "arguments": {}}},
                        {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
                    ],
                },
                {"role": "tool", "tool_name": "weather", "content": "Sunny."},
                {"role": "tool", "content": "Noon."},
            ],
            "tools": [TOOL],
        }
    )
    values = ollama_values(body)
    calls = values["messages"][1]["tool_calls"]
    assert [call["function"] for call in calls] == [{"name": "clock", "arguments": "{}"}, CALL]
    answered = [(message["content"], message["tool_call_id"]) for message in values["messages"][2:]]
    assert answered == [("Sunny.", calls[1]["id"]), ("Noon.", calls[0]["id"])]
    assert values["tools"] == [TOOL]
    lonely = OllamaChatBody.model_validate({"messages": [{"role": "tool", "content": "Noon."}]})
    with pytest.raises(InvalidRequestError, match="follows a tool call"):
        ollama_values(lonely)


def test_ollamas_images_are_shown_once() -> None:
    """Some clients put them beside the messages: they belong to the last question, unless a message has images."""
    asked = {"role": "user", "content": "What is this?"}
    beside = OllamaChatBody.model_validate(
        {"messages": [asked, {"role": "assistant", "content": "?"}], "images": ["QQ"]}
    )
    part = {"type": "image_url", "image_url": {"url": "data:;base64,QQ"}}
    assert ollama_values(beside)["messages"][0]["content"] == [part, {"type": "text", "text": "What is this?"}]
    both = OllamaChatBody.model_validate({"messages": [{**asked, "images": ["QQ"]}], "images": ["QQ"]})
    assert ollama_values(both)["messages"][0]["content"].count(part) == 1
    # Neither a path nor an address: a client of Ollama sends bytes only.
    odd = OllamaGenerateBody.model_validate({"prompt": "x", "images": ["/etc/passwd"]})
    assert generate_values(odd)["messages"][0]["content"][0]["image_url"]["url"] == "data:;base64,/etc/passwd"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_predict": -2}, {"max_tokens": -1}),
        ({"num_predict": 7.0, "repeat_penalty": 1.1}, {"max_tokens": 7, "repetition_penalty": 1.1}),
        ({"stop": ["a"], "top_k": -1, "seed": -1}, {"stop": ["a"], "top_k": 0}),
    ],
)
def test_ollamas_options(options: dict[str, Any], expected: dict[str, Any]) -> None:
    """They have other names, and other words for no limit."""
    body = OllamaGenerateBody.model_validate({"prompt": "x", "options": options, "format": ""})
    values = generate_values(body)
    assert {name: value for name, value in values.items() if name not in ("model", "messages", "think")} == {
        "response_format": None,
        **expected,
    }


def test_ollamas_formats_and_names() -> None:
    """An unknown format is refused; names have a tag; a switch may be a text."""
    thinking = [OllamaChatBody.model_validate({"think": one, "messages": []}) for one in ("false", True, "low", None)]
    assert [ollama_values(body)["think"] for body in thinking] == [False, True, "low", None]
    with pytest.raises(InvalidRequestError, match="neither json nor a JSON schema"):
        generate_values(OllamaGenerateBody.model_validate({"prompt": "x", "format": "yaml"}))
    assert [model_name(OllamaChatBody(model=name)) for name in ("demo:latest", "a/b", None, "")] == [
        "demo",
        "a/b",
        None,
        None,
    ]
    assert [tagged(name) for name in ("demo", "a:7b")] == ["demo:latest", "a:7b"]


@pytest.mark.parametrize(
    ("keep_alive", "unloads"),
    [
        (0, True),
        (0.0, True),
        ("0", True),
        ("0s", True),
        ("0m", True),
        (-1, False),
        ("5m", False),
        ("", False),
        (None, False),
    ],
    ids=repr,
)
def test_ollamas_keep_alive_is_named(keep_alive: Any, unloads: bool) -> None:
    """It is ignored, but for the time of none, by which a client asks to unload the model."""
    body = OllamaGenerateBody.model_validate({"keep_alive": keep_alive})
    assert asks_to_unload(body) is unloads
    assert list(body.ignored()) == ([] if keep_alive in (None, "") else ["keep_alive"])


def test_the_items_of_responses_become_messages() -> None:
    """Calls that follow each other, or a text, belong to one message; thoughts are left out."""
    body = ResponsesBody.model_validate(
        {
            "instructions": "Be short.",
            "input": [
                {"role": "user", "content": "How is it in Rome?"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
                {"type": "function_call", "call_id": "c1", **CALL, "id": "fc_1", "status": "completed"},
                {"type": "function_call_output", "call_id": "c1", "output": "Sunny."},
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "Nice.", "annotations": [], "logprobs": []}],
                },
                {"type": "function_call", "call_id": "c2", **CALL},
            ],
            "tools": [{"type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA}],
            "tool_choice": {"type": "function", "name": "weather"},
            "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
        }
    )
    values = response_values(body)
    last = {
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Nice."}],
        "tool_calls": [{"id": "c2", "type": "function", "function": CALL}],
    }
    assert values["messages"] == [{"role": "system", "content": "Be short."}, *MESSAGES, last]
    assert (values["tools"], values["tool_choice"]) == (
        [TOOL],
        {"type": "function", "function": {"name": "weather"}},
    )
    assert values["response_format"]["json_schema"] == {"name": "x", "schema": SCHEMA, "strict": True}
    assert not list(body.ignored())


def test_a_choice_among_tools_has_another_shape() -> None:
    """The names stand one level deeper in a chat request; a choice of no known kind is left for it to refuse."""
    tools = [{"type": "function", "name": "weather"}]
    asked: list[tuple[Any, Any]] = [
        ("required", "required"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]},
            },
        ),
        ({"type": "web_search"}, {"type": "web_search"}),
    ]
    for given, expected in asked:
        body = ResponsesBody.model_validate({"input": "x", "tools": tools, "tool_choice": given})
        assert response_values(body)["tool_choice"] == expected
