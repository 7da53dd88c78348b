"""The forms of answers with thoughts, which the models of the other tests do not have, and the numbers of events."""

from __future__ import annotations

import json
from typing import Any

from api.dialects.anthropic.answers import AnthropicMessages
from api.dialects.ollama.answers import OllamaChat, OllamaGenerate
from api.dialects.responses.answers import OpenAIResponse
from api.streaming.answer_form import AnswerForm
from api.streaming.growing_answer import Piece
from jobs.errors import EngineError
from jobs.store.response_rows import StoredResponse
from jobs.store.tables import Job, JobStatus

JOB = Job(
    id="job_1",
    model="demo",
    request="{}",
    digest="x",
    status=JobStatus.SUCCEEDED,
    text="Two cats.",
    reasoning="Hm, cats.",
    finish_reason="stop",
    prompt_tokens=7,
    completion_tokens=5,
    created_at=1.0,
    finished_at=3.5,
)
STORED = StoredResponse(job_id=JOB.id, asked="{}", first_message=0)


#: A job whose answer consists of two calls, the second of which was cut off.
CALLING = JOB.model_copy(
    update={
        "text": "",
        "reasoning": None,
        "tool_calls": json.dumps(
            [{"name": "weather", "arguments": '{"city": "Rome"}'}, {"name": "clock", "arguments": "{"}]
        ),
    }
)
CALLS = (
    Piece("call", "", call=0, name="weather"),
    Piece("call", '{"city"', call=0),
    Piece("call", ': "Rome"}', call=0),
    Piece("call", "", call=1, name="clock"),
    Piece("call", "{", call=1),
)


def streamed(form: AnswerForm, *pieces: Piece, job: Job = JOB) -> list[dict[str, Any]]:
    """Return the data of all messages of a stream."""
    messages = [*form.begin(), *(one for piece in pieces for one in form.piece(piece)), *form.end(job)]
    lines = [line for message in messages for line in message.decode().splitlines()]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith(("data: ", "{"))]


PIECES = (Piece("thoughts", "Hm, "), Piece("thoughts", "cats."), Piece("text", "Two "), Piece("text", "cats."))


def test_anthropics_thoughts_are_a_block_if_they_are_asked_for() -> None:
    """The block of text comes after them, and alone if they are not asked for."""
    for with_thoughts, kinds in ((True, ["thinking", "text"]), (False, ["text"])):
        events = streamed(AnthropicMessages(JOB, with_thoughts=with_thoughts), *PIECES)
        started = [event for event in events if event["type"] == "content_block_start"]
        assert [event["content_block"]["type"] for event in started] == kinds
        assert [event["index"] for event in started] == list(range(len(kinds)))
        stopped = [event["index"] for event in events if event["type"] == "content_block_stop"]
        assert stopped == list(range(len(kinds)))
        whole = json.loads(AnthropicMessages(JOB, with_thoughts=with_thoughts).body(JOB))
        assert [block["type"] for block in whole["content"]] == kinds
    assert events[-2]["usage"] | {"input_tokens": 7, "output_tokens": 5} == events[-2]["usage"]


def test_an_answer_without_text_has_an_empty_block() -> None:
    """Clients read the first block without looking whether there is one."""
    events = streamed(AnthropicMessages(JOB, with_thoughts=False))
    kinds = [event["type"] for event in events]
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_ollamas_thoughts_are_a_field() -> None:
    """The message has the field, and so has generate's answer; durations are in nanoseconds."""
    lines = streamed(OllamaChat(JOB, name="demo:latest"), *PIECES)
    assert "".join(line["message"].get("thinking", "") for line in lines) == JOB.reasoning
    assert "".join(line["message"]["content"] for line in lines) == JOB.text
    assert {line["model"] for line in lines} == {"demo:latest"}
    assert lines[-1]["total_duration"] == 2_500_000_000
    whole = json.loads(OllamaGenerate(JOB).body(JOB))
    assert (whole["response"], whole["thinking"], whole["created_at"]) == (
        JOB.text,
        JOB.reasoning,
        "1970-01-01T00:00:01Z",
    )


def test_the_message_is_the_first_item_of_a_response() -> None:
    """Also if the thoughts come first: some clients read the first text of any item."""
    whole = json.loads(OpenAIResponse(JOB, STORED).body(JOB))
    assert [item["type"] for item in whole["output"]] == ["message", "reasoning"]
    events = streamed(OpenAIResponse(JOB, STORED), *PIECES)
    added = [event for event in events if event["type"] == "response.output_item.added"]
    assert [(event["output_index"], event["item"]["type"]) for event in added] == [(0, "message"), (1, "reasoning")]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert sorted(event["output_index"] for event in done) == [0, 1]
    assert events[-1]["response"]["output"] == whole["output"]


def test_a_stream_of_a_response_is_resumed_at_any_event() -> None:
    """However the text is cut into pieces the second time, no character is lost or repeated."""
    events = streamed(OpenAIResponse(JOB, STORED), *PIECES)
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    others = (Piece("thoughts", "Hm, cats."), *(Piece("text", letter) for letter in JOB.text or ""))

    def texts(found: list[dict[str, Any]], kind: str) -> str:
        return "".join(event["delta"] for event in found if event["type"] == f"response.{kind}.delta")

    for after, known in zip(numbers, range(1, len(numbers) + 1), strict=True):
        rest = streamed(OpenAIResponse(JOB, STORED, after=after), *others)
        for kind, whole in (("output_text", JOB.text), ("reasoning_text", JOB.reasoning)):
            assert texts(events[:known], kind) + texts(rest, kind) == whole
        assert len([event for event in rest if "delta" not in event]) == len(
            [event for event in events[known:] if "delta" not in event]
        )


def test_an_error_in_a_stream_has_the_dialects_form() -> None:
    """The status has been sent by then."""
    error = EngineError("secret")
    assert json.loads(OllamaChat(JOB).failure(error)) == {"error": "Generation failed."}
    (failed,) = [line for line in OpenAIResponse(JOB, STORED).failure(error).decode().splitlines() if "data:" in line]
    event = json.loads(failed.removeprefix("data: "))
    assert (event["type"], event["response"]["status"]) == ("response.failed", "failed")
    assert event["response"]["error"] == {"code": "engine_error", "message": "Generation failed."}
    assert b"event: error" in AnthropicMessages(JOB, with_thoughts=False).failure(error)


def test_anthropics_calls_are_blocks() -> None:
    """Their arguments grow as JSON in pieces, and are an object in a whole answer; a call that was cut off has none."""
    whole = json.loads(AnthropicMessages(CALLING, with_thoughts=False).body(CALLING))
    found = [(block["type"], block["name"], block["input"]) for block in whole["content"]]
    assert found == [("tool_use", "weather", {"city": "Rome"}), ("tool_use", "clock", {})]
    assert whole["stop_reason"] == "tool_use"
    events = streamed(AnthropicMessages(CALLING, with_thoughts=False), *CALLS, job=CALLING)
    begun = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["id"] for block in begun] == [block["id"] for block in whole["content"]]
    pieces = {0: "", 1: ""}
    for event in events:
        if event["type"] == "content_block_delta":
            pieces[event["index"]] += event["delta"]["partial_json"]
    assert pieces == {0: '{"city": "Rome"}', 1: "{"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_ollamas_calls_come_whole() -> None:
    """In the message, and in a line of their own before the last one."""
    calls = [
        {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
        {"function": {"name": "clock", "arguments": {}}},
    ]
    assert json.loads(OllamaChat(CALLING).body(CALLING))["message"]["tool_calls"] == calls
    lines = streamed(OllamaChat(CALLING), *CALLS, job=CALLING)
    assert [line["done"] for line in lines] == [False, True]
    assert lines[0]["message"]["tool_calls"] == calls


def test_the_calls_of_a_response_are_items() -> None:
    """Without a message, because there is no text; with text they come after the message."""
    whole = json.loads(OpenAIResponse(CALLING, STORED).body(CALLING))
    assert [item["type"] for item in whole["output"]] == ["function_call", "function_call"]
    events = streamed(OpenAIResponse(CALLING, STORED), *CALLS, job=CALLING)
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert list(done.values()) == whole["output"] == events[-1]["response"]["output"]
    arguments = "".join(one["delta"] for one in events if one["type"] == "response.function_call_arguments.delta")
    assert arguments == '{"city": "Rome"}{'
    both = CALLING.model_copy(update={"text": "So."})
    events = streamed(OpenAIResponse(both, STORED), Piece("text", "So."), *CALLS, job=both)
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert [done[index]["type"] for index in sorted(done)] == ["message", "function_call", "function_call"]
    assert [done[index] for index in sorted(done)] == events[-1]["response"]["output"]
