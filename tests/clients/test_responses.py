"""OpenAI's own client of the Responses API, unmodified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.test_chat import png
from tests.support.processes import until
from tests.support.scenes import Drawn
from tests.support.serving import Served, data_uri

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.timeout(300)

NO_CACHE = {"cache": False}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """OpenAI's client."""
    import openai

    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def picture(drawn: Drawn) -> Any:
    """Return the input of a question about a picture."""
    image = {"type": "input_image", "image_url": data_uri(png(drawn)), "detail": "auto"}
    return [{"role": "user", "content": [image, {"type": "input_text", "text": "Describe this image."}]}]


def test_a_picture_is_captioned_whole_and_in_pieces(client: openai.OpenAI, drawn: Drawn) -> None:
    """The events are OpenAI's, in its order, and numbered."""
    response = client.responses.create(model="demo", input=picture(drawn), metadata={"album": "one"})
    assert response.output_text == drawn.caption
    assert (response.status, response.metadata, response.error) == ("completed", {"album": "one"}, None)
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    events = list(client.responses.create(model="demo", input=picture(drawn), stream=True, extra_body=NO_CACHE))
    names = [event.type.removeprefix("response.") for event in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(names[4:-4]) == {"output_text.delta"}
    assert names[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == drawn.caption
    with client.responses.stream(model="demo", input=picture(drawn)) as stream:
        assert stream.get_final_response().output_text == drawn.caption


def test_a_stored_response_is_found_continued_and_deleted(client: openai.OpenAI, drawn: Drawn) -> None:
    """The conversation goes on with its picture, without the instructions of the response before."""
    import openai

    first = client.responses.create(model="demo", input=picture(drawn), instructions="Look.")
    assert client.responses.retrieve(first.id).output_text == first.output_text
    sent = client.responses.input_items.list(first.id, order="asc").data
    assert [item.type for item in sent] == ["message"]
    assert [part.type for part in sent[0].content] == ["input_image", "input_text"]
    second = client.responses.create(
        model="demo", input="Describe this image.", previous_response_id=first.id, max_output_tokens=5
    )
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    # The picture, the first question, its answer, and the new question.
    assert second.usage.input_tokens > first.usage.input_tokens
    # OpenAI's class does not know the field.
    seen = [usage.input_tokens_details.model_extra for usage in (first.usage, second.usage)]
    assert seen[0] == seen[1] != {"image_tokens": 0}
    newest = client.responses.input_items.list(second.id).data
    assert [item.to_dict()["content"] for item in newest] == [[{"type": "input_text", "text": "Describe this image."}]]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="has been deleted"):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="demo", input="And?", previous_response_id=first.id)


def test_a_response_that_is_not_stored_is_not_found(client: openai.OpenAI) -> None:
    """It was answered all the same."""
    import openai

    response = client.responses.create(model="demo-text", input="Hello", store=False)
    assert response.output_text
    assert response.store is False
    with pytest.raises(openai.NotFoundError, match="was not stored"):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError, match="has to be stored"):
        client.responses.create(model="demo-text", input="Hello", store=False, background=True)


def test_a_cut_off_answer_is_incomplete(client: openai.OpenAI) -> None:
    """The reason is told; streamed, the last event says so too."""
    short: Any = {"model": "demo-text", "input": "Hello", "max_output_tokens": 2}
    response = client.responses.create(**short)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert list(client.responses.create(**short, stream=True))[-1].type == "response.incomplete"


def test_text_formats(client: openai.OpenAI) -> None:
    """JSON by a schema, and any JSON object."""
    schema = {"type": "object", "properties": {"colour": {"enum": ["red"]}}, "required": ["colour"]}
    wanted: Any = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    response = client.responses.create(model="demo-text", input="Hello", text={"format": wanted})
    assert json.loads(response.output_text) == {"colour": "red"}
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.type == "json_schema"
    anything = client.responses.create(
        model="demo-text", input="Hello", text={"format": {"type": "json_object"}}, max_output_tokens=30
    )
    assert anything.output_text.startswith("{")


def test_a_background_response_is_a_job(client: openai.OpenAI, served: Served) -> None:
    """It is queued at once, polled to its end, and followed from any event."""
    queued = client.responses.create(model="demo-text", input="Hello", background=True, extra_body=NO_CACHE)
    assert (queued.status, queued.background) == ("queued", True)
    assert served.client.get(f"/v1/jobs/job_{queued.id.removeprefix('resp_')}").json()["lane"] == "bulk"
    until(lambda: client.responses.retrieve(queued.id).status == "completed", "the response")
    events = list(client.responses.retrieve(queued.id, stream=True))
    whole = client.responses.retrieve(queued.id).output_text
    assert whole
    for after in (events[0], events[4], events[-2]):
        rest = list(client.responses.retrieve(queued.id, stream=True, starting_after=after.sequence_number))
        assert rest[0].sequence_number > after.sequence_number
        assert rest[-1].sequence_number == events[-1].sequence_number
    # In the middle of a piece.
    rest = list(client.responses.retrieve(queued.id, stream=True, starting_after=4))
    assert "".join(one.delta for one in rest if one.type == "response.output_text.delta") == whole[1:]


def test_a_background_response_can_be_cancelled(client: openai.OpenAI, served: Served) -> None:
    """A stream of it may be left, and it goes on; cancelling it twice changes nothing."""
    body: Any = {"model": "demo-text", "input": "Hello", "background": True}
    with client.responses.create(**body, stream=True, extra_body=NO_CACHE) as stream:
        first = next(iter(stream))
    assert first.type == "response.created"
    until(lambda: client.responses.retrieve(first.response.id).status == "completed", "the response")
    with served.paused():
        waiting = client.responses.create(**body, service_tier="priority", extra_body=NO_CACHE)
        assert client.responses.cancel(waiting.id).status == "cancelled"
        assert client.responses.cancel(waiting.id).status == "cancelled"
        with pytest.raises(Exception, match="was cancelled, so"):
            client.responses.create(model="demo-text", input="And?", previous_response_id=waiting.id)


def test_what_cannot_be_done_is_refused_by_name(client: openai.OpenAI) -> None:
    """Documents, stored prompts and other servers' tools."""
    import openai

    document: Any = [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]
    with pytest.raises(openai.BadRequestError, match="type 'input_file' is not supported"):
        client.responses.create(model="demo", input=document)
    with pytest.raises(openai.BadRequestError, match="Continue a response with previous_response_id"):
        client.responses.create(model="demo", input="Hello", conversation="conv_1")
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.responses.create(model="demo", input="Hello", tools=[{"type": "web_search"}])
    unknown: Any = {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "what"}}}
    with pytest.raises(openai.BadRequestError, match="schema cannot be followed") as refused:
        client.responses.create(model="demo-text", input="Hello", text=unknown)
    assert refused.value.param == "text.format.schema"
    misnamed: Any = {"format": {**unknown["format"], "name": "an answer"}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="demo-text", input="Hello", text=misnamed)
    assert refused.value.param == "text.format.name"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="demo-text", input="Hello", tools=[{"type": "function", "name": "a b"}])
    assert refused.value.param == "tools.0.name"


def test_a_tool_is_called_and_its_result_is_read(client: openai.OpenAI) -> None:
    """The conversation goes on from the stored response, whose calls are part of it."""
    city = {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]}
    tool: Any = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": city, "strict": True}
    asked: Any = {"model": "demo-text", "tools": [tool], "tool_choice": "required", "max_output_tokens": 60}
    response = client.responses.create(input="Hello", parallel_tool_calls=False, **asked)
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Rome"})
    with client.responses.stream(input="Hello", parallel_tool_calls=False, **asked) as stream:
        (again,) = [item for item in stream.get_final_response().output if item.type == "function_call"]
    assert (again.name, again.arguments) == (call.name, call.arguments)
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}]
    told = client.responses.create(
        model="demo-text", input=result, previous_response_id=response.id, max_output_tokens=20
    )
    assert told.output_text
    items = client.responses.input_items.list(told.id).data
    assert [item.type for item in items] == ["function_call_output"]
