"""Tools of `captionq serve`, asked by OpenAI's own client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER
from tests.support.scenes import draw_many
from tests.support.serving import Served, data_uri, serving
from tests.support.tools import WEATHER

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.timeout(300)

TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}},
    {"type": "function", "function": {"name": "get_time", "description": "Tell the time."}},
]
USER: Any = {"role": "user", "content": "How is the weather in Paris?"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("tools") / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, CAPTIONQ_MODEL="demo-text") as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    import openai

    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_required_call_is_the_same_whole_and_streamed(client: openai.OpenAI, served: Served) -> None:
    """Streamed, whole and from the job's row: the same call; its text never appears as content."""
    named: Any = {"type": "function", "function": {"name": "get_weather"}}
    asked: dict[str, Any] = {"model": "demo-text", "messages": [USER], "tools": TOOLS, "tool_choice": named}
    whole = client.chat.completions.create(**asked)
    (choice,) = whole.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert arguments["city"] in ("Paris", "Rome")
    assert 1 <= arguments["days"] <= 9
    job = served.client.get(f"/v1/jobs/{whole.id.removeprefix('chatcmpl-')}").json()
    assert job["result"]["choices"][0]["message"]["tool_calls"] == [call.model_dump()]

    with client.chat.completions.stream(**asked, extra_body={"cache": False}) as stream:
        deltas = [event.chunk for event in stream if event.type == "chunk"]
        final = stream.get_final_completion()
    (streamed,) = final.choices[0].message.tool_calls or []
    assert (streamed.function.name, streamed.function.arguments) == ("get_weather", call.function.arguments)
    assert streamed.id.startswith("call_")
    assert final.choices[0].finish_reason == "tool_calls"
    assert not any(chunk.choices[0].delta.content for chunk in deltas)
    pieces = [one for chunk in deltas for one in chunk.choices[0].delta.tool_calls or []]
    assert [bool(piece.id) for piece in pieces].count(True) == 1
    assert len(pieces) > 2
    # The second answer comes from the cache.
    assert client.chat.completions.create(**asked).choices[0].message.tool_calls[0].function == call.function


def test_results_of_calls_are_read_and_text_may_answer(client: openai.OpenAI) -> None:
    """The conversation goes on with the call and its result, an image among it; `auto` and `none` may answer with text."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    conversation: Any = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]
    lengths = []
    for choice in ("auto", "none"):
        answer = client.chat.completions.create(
            model="demo-text", messages=conversation, tools=TOOLS, tool_choice=choice, max_tokens=40
        )
        assert answer.choices[0].message.content
        assert answer.choices[0].message.tool_calls is None
        assert answer.usage is not None
        lengths.append(answer.usage.prompt_tokens)
    # Only the first shows the model the tools.
    assert lengths[0] > lengths[1] + 100


def test_results_may_be_images(served: Served) -> None:
    """The model sees the image of a tool, and one of the assistant."""
    file = io.BytesIO()
    draw_many(1)[0].image.save(file, "PNG")
    image = {"type": "image_url", "image_url": {"url": data_uri(file.getvalue())}}
    call = {"id": "call_1", "type": "function", "function": {"name": "take_photo", "arguments": "{}"}}
    tools = [{"type": "function", "function": {"name": "take_photo"}}]
    conversation: Any = [
        {"role": "user", "content": "Take a photo."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [image]},
        {"role": "assistant", "content": [{"type": "text", "text": "Here is another."}, image]},
        {"role": "user", "content": "Describe this image."},
    ]
    counts = []
    for messages in (conversation, [{"role": "user", "content": [image]}]):
        body = {"model": "demo", "messages": messages, "tools": tools, "max_tokens": 20}
        answer = served.client.post("/v1/chat/completions", json=body).json()
        counts.append(answer["usage"]["prompt_tokens_details"]["image_tokens"])
    assert counts[0] == 2 * counts[1] > 0


def test_a_call_that_is_cut_off_says_so(client: openai.OpenAI, served: Served) -> None:
    """The finish reason is `length`, as in OpenAI's API; the job has failed."""
    answer = client.chat.completions.create(
        model="demo-text", messages=[USER], tools=TOOLS[:1], tool_choice="required", max_tokens=40
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "length"
    job = served.client.get(f"/v1/jobs/{answer.id.removeprefix('chatcmpl-')}").json()
    assert job["status"] == "failed"


def test_tools_that_cannot_be_used_are_refused_by_name(served: Served) -> None:
    """Nothing is queued."""
    body = {"messages": [USER], "tools": TOOLS}
    search = {"type": "web_search"}
    for more, words in (
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice names 'f'"),
        ({"tools": [*TOOLS, TOOLS[1]]}, "Two tools have the name 'get_time'"),
        ({"tools": [search]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "needs a tool_call_id"),
    ):
        refused = served.client.post("/v1/chat/completions", json={**body, **more})
        assert refused.status_code == 400
        assert words in refused.json()["error"]["message"]
