"""Chat bodies that were written for other servers: which values are read, which fields are ignored, which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.errors.validation import validation_detail
from api.schemas.chat.chat_request import ChatCompletionBody
from jobs.request_defaults import DEFAULT_CHAT_TOKENS, MAX_TOKENS
from jobs.requests import Request

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
TEXT = {"type": "text", "text": "Describe this image."}
PLAIN: dict[str, Any] = {"messages": [{"role": "user", "content": [IMAGE, TEXT]}]}


def request_of(body: dict[str, Any]) -> Request:
    """Return the request that is queued for a body."""
    parsed = ChatCompletionBody.model_validate(body)
    return parsed.to_request("demo", [image.url or "blob:0" for image in parsed.images()])


def ignored(body: dict[str, Any]) -> list[str]:
    """Return the names of the fields that are ignored."""
    return list(ChatCompletionBody.model_validate(body).ignored())


def refusal(body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return param and code of the error of a body."""
    with pytest.raises(ValidationError) as refused:
        ChatCompletionBody.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.value.errors()]
    detail = validation_detail(errors, body)
    return detail.param, detail.code


def message(**more: Any) -> dict[str, Any]:
    """Return a body with one message that has these fields too."""
    return {"messages": [{"role": "user", "content": "Hello", **more}]}


def part(**content: Any) -> dict[str, Any]:
    """Return a body with a text and this part."""
    return {"messages": [{"role": "user", "content": [TEXT, content]}]}


ASK_NOTHING: list[dict[str, Any]] = [
    {"n": 1},
    {"n": 1.0},
    {"store": False},
    {"metadata": {}},
    {"metadata": None},
    {"max_tokens": None},
    {"max_tokens": -1},
    {"max_tokens": -1.0},
    {"max_tokens": 0},
    {"max_completion_tokens": -1},
    {"seed": -1},
    {"seed": None},
    {"top_k": -1},
    {"top_k": 0},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "minimal"},
    {"thinking": {"type": "disabled"}},
    {"enable_thinking": False},
    {"think": False},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"chat_template_kwargs": {}},
    {"service_tier": "auto"},
    {"parallel_tool_calls": True},
    {"tools": []},
    {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
    {"tool_choice": "auto"},
    {"functions": [], "function_call": "none"},
    {"modalities": ["text"]},
    {"audio": None},
    {"prediction": None},
    {"web_search_options": None},
    {"logit_bias": {}},
    {"stop": None},
    {"stop": ""},
    {"stop": []},
    {"stop": [""]},
    {"response_format": None},
    {"response_format": {"type": "text"}},
    {"stream_options": None},
    {"stream_options": {"include_usage": True}},
    {"stream": False, "stream_options": {}},
    {"anything": None},
    {"user": "me", "safety_identifier": "me"},
    {"guided_json": None, "min_tokens": 0, "ignore_eos": False, "format": ""},
]


@pytest.mark.parametrize("more", ASK_NOTHING, ids=str)
def test_values_that_ask_for_nothing_change_nothing(more: dict[str, Any]) -> None:
    """They are neither refused nor named as ignored."""
    assert request_of({**PLAIN, **more}) == request_of(PLAIN)
    assert ignored({**PLAIN, **more}) == []


def test_several_answers_are_sampled() -> None:
    """Without a temperature they would be the same."""
    assert request_of({**PLAIN, "n": 8, "temperature": 1}).choices == 8
    assert refusal({**PLAIN, "n": 9, "temperature": 1}) == ("n", "invalid_request_error")
    assert refusal({**PLAIN, "n": True, "temperature": 1}) == ("n", "invalid_request_error")


IGNORED: list[tuple[dict[str, Any], list[str]]] = [
    ({**PLAIN, "store": True}, ["store"]),
    ({**PLAIN, "metadata": {"a": "b"}}, ["metadata"]),
    ({**PLAIN, "service_tier": "flex", "prompt_cache_key": "x"}, ["service_tier", "prompt_cache_key"]),
    ({**PLAIN, "reasoning_effort": "low"}, ["reasoning_effort"]),
    ({**PLAIN, "verbosity": "low"}, ["verbosity"]),
    ({**PLAIN, "prediction": {"type": "content", "content": "x"}}, ["prediction"]),
    ({**PLAIN, "chat_template_kwargs": {"enable_thinking": True, "x": 1}}, ["chat_template_kwargs.x"]),
    ({**PLAIN, "num_ctx": 4096, "keep_alive": "5m", "options": {}}, ["num_ctx", "keep_alive"]),
    ({**PLAIN, "min_pixels": 1, "max_pixels": 2}, ["min_pixels"]),
    ({**PLAIN, "temprature": 1}, ["temprature"]),
    (
        {**PLAIN, "stream": True, "stream_options": {"continuous_usage_stats": True}},
        ["stream_options.continuous_usage_stats"],
    ),
    (message(name="me"), ["messages.0.name"]),
    (message(cache_control={"type": "ephemeral"}), ["messages.0.cache_control"]),
    (message(role="assistant", reasoning_content="Well."), ["messages.0.reasoning_content"]),
    (message(role="assistant", refusal=None, tool_calls=[], audio=None, annotations=[]), []),
    (part(**TEXT, cache_control={"type": "ephemeral"}), ["messages.0.content.1.cache_control"]),
    (part(**IMAGE, max_pixels=1), ["messages.0.content.1.max_pixels"]),
    (
        part(type="image_url", image_url={"url": "https://example.org/x.png", "format": "image/png"}),
        ["messages.0.content.1.image_url.format"],
    ),
]


@pytest.mark.parametrize(
    "more",
    [
        {"enable_thinking": True},
        {"think": True},
        {"think": "low"},
        {"thinking": {"type": "enabled"}},
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"chat_template_kwargs": {"thinking": True}},
    ],
    ids=str,
)
def test_thinking_is_switched_on_by_any_name(more: dict[str, Any]) -> None:
    """Clients of vLLM, Ollama and Anthropic each have their own; nothing is ignored."""
    assert request_of({**PLAIN, **more}) == request_of(PLAIN).model_copy(update={"thinking": True})
    assert ignored({**PLAIN, **more}) == []


@pytest.mark.parametrize(("body", "names"), IGNORED, ids=str)
def test_what_tunes_another_server_is_ignored_by_its_name(body: dict[str, Any], names: list[str]) -> None:
    """The name is the path in the client's body, not that of a neighbour."""
    assert ignored(body) == names
    assert request_of(body).sampling == request_of(PLAIN).sampling


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**PLAIN, "n": 2}, "n"),
        ({**PLAIN, "n": 2, "temperature": 0}, "n"),
        ({**PLAIN, "best_of": 2}, "best_of"),
        ({**PLAIN, "functions": [{"name": "f"}]}, "functions"),
        ({**PLAIN, "modalities": ["text", "audio"]}, "modalities"),
        ({**PLAIN, "audio": {"voice": "x"}}, "audio"),
        ({**PLAIN, "web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({**PLAIN, "guided_choice": ["a", "b"]}, "guided_choice"),
        ({**PLAIN, "format": "json"}, "format"),
        ({**PLAIN, "images": ["x"]}, "images"),
        ({**PLAIN, "system": "Be brief."}, "system"),
        (message(images=["x"]), "messages.0.images"),
        ({**PLAIN, "function_call": {"name": "f"}}, "function_call"),
        (message(role="assistant", function_call={"name": "x"}), "messages.0.function_call"),
        (message(role="assistant", prefix=True), "messages.0.prefix"),
        (part(**TEXT, image_url={"url": "https://example.org/x.png"}), "messages.0.content.1.image_url"),
        (part(**IMAGE, text="What is this?"), "messages.0.content.1.text"),
    ],
    ids=str,
)
def test_what_changes_the_meaning_of_the_answer_is_refused(body: dict[str, Any], param: str) -> None:
    """An answer that ignores such a field would be a wrong answer."""
    assert refusal(body) == (param, "unsupported_parameter")


def test_numbers_are_read_as_json_means_them() -> None:
    """JSON knows one kind of number: 300.0 is 300. Every seed of 64 bits is a seed."""
    sampling = request_of(
        {**PLAIN, "max_tokens": 300.0, "seed": 7.0, "top_k": 40.0, "logprobs": True, "top_logprobs": 2.0}
    ).sampling
    assert (sampling.max_tokens, sampling.seed, sampling.top_k, sampling.top_logprobs) == (300, 7, 40, 2)
    seeds = [request_of({**PLAIN, "seed": seed}).sampling.seed for seed in (-2, -3, -(2**63))]
    assert len({*seeds, None}) == 4
    assert 0 < request_of({**PLAIN, "top_p": 0}).sampling.top_p < 1e-6
    for more in (
        {"max_tokens": 300.5},
        {"max_tokens": -2},
        {"max_tokens": "300"},
        {"max_tokens": True},
        {"seed": 2**63},
    ):
        assert refusal({**PLAIN, **more}) == (next(iter(more)), "invalid_request_error")


def test_a_limit_beyond_the_longest_answer_is_clamped() -> None:
    """A real client sends 128000. The worker clamps to the context."""
    assert request_of({**PLAIN, "max_tokens": 128_000}).sampling.max_tokens == MAX_TOKENS
    assert request_of({**PLAIN, "max_completion_tokens": 10**12}).sampling.max_tokens == MAX_TOKENS
    assert request_of({**PLAIN, "max_completion_tokens": -1, "max_tokens": 5}).sampling.max_tokens == 5
    assert request_of({**PLAIN, "max_tokens": -1}).sampling.max_tokens == DEFAULT_CHAT_TOKENS


def test_empty_stop_strings_are_left_out() -> None:
    """An empty string would end every answer at once."""
    assert request_of({**PLAIN, "stop": ["", "."]}).sampling.stop == (".",)


URL = "https://example.org/x.png"


@pytest.mark.parametrize(
    "content",
    [
        {"type": "image_url", "image_url": URL},
        {"type": "image_url", "image_url": URL, "detail": "low"},
        {"type": "image_url", "image_url": {"url": URL, "detail": "original"}},
        {"type": "image_url", "url": URL},
        {"type": "input_image", "image_url": URL, "file_id": None},
        {"type": "input_image", "image_url": {"url": URL}, "detail": "high"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "image", "image": URL},
        {"type": "image", "image": {"url": URL}},
        {"type": "image", "image_url": {"url": URL}},
        {"type": "image", "url": URL},
        {"type": "image_file", "image_file": {"file_id": "file_1"}},
    ],
    ids=str,
)
def test_images_are_read_under_each_of_their_names(content: dict[str, Any]) -> None:
    """Chat Completions, Responses and other servers name the same part differently."""
    body = {"messages": [{"role": "user", "content": [content, {"type": "input_text", "text": "What is this?"}]}]}
    (image,) = ChatCompletionBody.model_validate(body).images()
    assert (image.url, image.file_id) == ((None, "file_1") if "file_1" in str(content) else (URL, None))
    (found,) = request_of(body).images
    assert found.detail == ("low" if "low" in str(content) else "high" if image.detail else "auto")
    assert ignored(body) == []


@pytest.mark.parametrize(
    "content", [{"type": "image"}, {"type": "input_image", "image_url": URL, "file_id": "file_1"}], ids=str
)
def test_an_image_part_has_one_image(content: dict[str, Any]) -> None:
    """None and two are refused."""
    assert refusal(part(**content)) == ("messages.0.content.1", "invalid_image_url")
