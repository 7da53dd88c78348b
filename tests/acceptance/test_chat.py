"""`POST /v1/chat/completions` of a running `captionq serve`, asked by OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import Drawn, draw_many
from tests.support.serving import Served, about, data_uri, endless, hello, serving

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, with one served folder."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--model", "demo-text", "--allow-root", folder / "pictures") as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    import openai

    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def png(drawn: Drawn) -> bytes:
    """Return a picture as a PNG file."""
    return drawn.png


def user(*content: Any) -> list[Any]:
    """Return one message of a user."""
    return [{"role": "user", "content": list(content)}]


def picture(drawn: Drawn, **more: Any) -> dict[str, Any]:
    """Return a picture as a part of a message."""
    return {"type": "image_url", "image_url": {"url": data_uri(png(drawn)), **more}}


TEXT = {"type": "text", "text": "Describe this image."}


def test_the_openai_client_gets_the_pictures_caption(client: openai.OpenAI) -> None:
    """The answer has its usage, including the image's tokens."""
    drawn = draw_many(1)[0]
    answer = client.chat.completions.create(model="demo", messages=user(picture(drawn), TEXT))
    assert answer.choices[0].message.content == drawn.caption
    assert answer.choices[0].finish_reason == "stop"
    assert answer.id.startswith("chatcmpl-job_")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > 20


def test_a_stream_comes_token_by_token(client: openai.OpenAI) -> None:
    """The role comes first, then text, then the finish reason, then the usage."""
    drawn = draw_many(1)[0]
    stream = client.chat.completions.create(
        model="demo",
        messages=user(picture(drawn), TEXT),
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"cache": False},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == drawn.caption
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def test_a_long_answer_comes_in_many_pieces(served: Served) -> None:
    """The pieces come while the answer is generated. (A fast machine may send a short answer in two.)"""
    with served.client.stream("POST", "/v1/chat/completions", json=endless(max_tokens=200, stream=True)) as response:
        pieces = [line for line in response.iter_lines() if '"content":"' in line]
    assert len(pieces) > 5


def test_a_stream_ends_with_done(served: Served) -> None:
    """Chunks have no usage unless the client asked for it."""
    with served.client.stream(
        "POST", "/v1/chat/completions", json=about(data_uri(png(draw_many(1)[0])), stream=True)
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert "usage" not in json.loads(lines[0].removeprefix("data: "))


def test_the_same_question_is_answered_from_the_cache(served: Served) -> None:
    """Streamed and whole, and marked; a client may ask for a new answer."""
    body = {"model": "demo", "messages": user(picture(draw_many(2)[1]), TEXT), "seed": 77}

    def ask(**more: Any) -> dict[str, Any]:
        answer = served.client.post("/v1/chat/completions", json={**body, **more}).json()
        assert isinstance(answer, dict)
        return answer

    first, again, anew = ask(), ask(), ask(cache=False)
    assert ("cached" in first, again["cached"], "cached" in anew) == (False, True, False)
    assert again["choices"] == first["choices"] == anew["choices"]
    details = {**first["usage"].pop("prompt_tokens_details"), "cached_tokens": first["usage"]["prompt_tokens"]}
    assert again["usage"].pop("prompt_tokens_details") == details
    assert again["usage"] == first["usage"]
    streamed = served.client.post("/v1/chat/completions", json={**body, "stream": True}).text
    pieces = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces)
    assert text == first["choices"][0]["message"]["content"]


def test_the_async_client_asks_about_many_pictures_at_once(served: Served) -> None:
    """Each picture gets its own caption."""
    import openai

    pictures = draw_many(12)

    async def ask_all() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.chat.completions.create(model="demo", messages=user(picture(d), TEXT)) for d in pictures)
            )
        return [answer.choices[0].message.content for answer in answers]

    assert asyncio.run(ask_all()) == [drawn.caption for drawn in pictures]


def test_the_async_client_reads_many_streams_at_once(served: Served) -> None:
    """Each stream has its own caption."""
    import openai

    pictures = draw_many(6)

    async def read_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:

            async def read(drawn: Drawn) -> str:
                stream = await client.chat.completions.create(
                    model="demo", messages=user(picture(drawn), TEXT), stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*map(read, pictures))

    assert asyncio.run(read_all()) == [drawn.caption for drawn in pictures]


def test_an_answer_follows_its_schema(client: openai.OpenAI) -> None:
    """Structured output holds, streamed or not."""
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer"}, "colour": {"enum": ["red", "blue"]}},
        "required": ["count", "colour"],
        "additionalProperties": False,
    }
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": user(picture(draw_many(1)[0]), TEXT),
        "response_format": {"type": "json_schema", "json_schema": {"name": "scene", "schema": schema, "strict": True}},
    }
    answer = client.chat.completions.create(**asked).choices[0].message.content or ""
    found = json.loads(answer)
    assert isinstance(found["count"], int)
    assert found["colour"] in ("red", "blue")
    chunks = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer


def test_several_images_and_a_conversation(client: openai.OpenAI) -> None:
    """A request has a developer's prompt, an earlier answer as the client sends it back, and two pictures."""
    first, second = draw_many(2)
    earlier = client.chat.completions.create(model="demo", messages=user(picture(first), TEXT))
    answer = client.chat.completions.create(
        model="demo",
        messages=[
            {"role": "developer", "content": "Answer briefly."},
            *user(picture(first), TEXT),
            dict[str, Any](role="assistant", **earlier.choices[0].message.model_dump(exclude={"role"})),
            *user(picture(second), {"type": "text", "text": "Describe this image."}),
        ],
    )
    assert answer.usage is not None
    assert answer.choices[0].message.content == second.caption


def test_log_probabilities_come_with_stream_and_without(client: openai.OpenAI) -> None:
    """The entries are the same, each with its alternatives."""
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": user(picture(draw_many(1)[0]), TEXT),
        "logprobs": True,
        "top_logprobs": 2,
    }
    whole = client.chat.completions.create(**asked).choices[0].logprobs
    assert whole is not None
    assert whole.content
    assert len(whole.content[0].top_logprobs) == 2
    streamed = [
        entry.token
        for chunk in client.chat.completions.create(**asked, stream=True)
        if chunk.choices and chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content or []
    ]
    assert streamed == [entry.token for entry in whole.content]


def test_an_image_for_a_text_only_model_is_refused(client: openai.OpenAI) -> None:
    """The answer is 400 in OpenAI's shape, and names the model. Text is answered."""
    import openai

    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="demo-text", messages=user(picture(draw_many(1)[0]), TEXT))
    assert refused.value.status_code == 400
    body = refused.value.body
    assert isinstance(body, dict)
    assert body["code"] == "images_not_supported"
    assert "demo-text" in body["message"]
    assert set(body) == {"message", "type", "param", "code"}
    answer = client.chat.completions.create(model="demo-text", messages=[{"role": "user", "content": "Hello"}])
    assert (answer.choices[0].message.content or "").startswith("Hello!")


def test_an_unknown_model_is_404(client: openai.OpenAI) -> None:
    """No model is downloaded because a stranger names it, and no folder is read."""
    import openai

    for name in ("mlx-community/whatever-4bit", "/etc", "../demo"):
        with pytest.raises(openai.NotFoundError) as refused:
            client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}])
        assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools.0.function", "invalid_request_error"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"temperature": 3}, "temperature", "invalid_request_error"),
        ({"messages": []}, "messages", "invalid_request_error"),
        ({"top_logprobs": 2}, None, "invalid_request_error"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "what"}}}},
            ...,
            ...,
        ),
    ],
)
def test_an_unsupported_parameter_is_refused_by_its_name(
    served: Served, more: dict[str, Any], param: Any, code: Any
) -> None:
    """No parameter is ignored silently."""
    response = served.client.post("/v1/chat/completions", json=about(**more) if "messages" not in more else more)
    assert response.status_code == 400
    error = response.json()["error"]
    assert param is ... or (error["param"], error["code"]) == (param, code)


IMAGE = {"url": "https://example.org/x.png"}


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        ({"type": "image_url", "image_url": {**IMAGE, "detail": "x"}}, "image_url.detail", "invalid_request_error"),
        ({"type": "image_url", "image_url": {**IMAGE, "file_id": "file_1"}}, "image_url", "invalid_image_url"),
        ({"type": "image_url", "image_url": {}}, "image_url", "invalid_image_url"),
        ({"type": "image_url", "image_url": ""}, "image_url", "invalid_request_error"),
        ({"type": "image_url"}, "", "invalid_image_url"),
        ({"type": "text", "text": "x", "image_url": IMAGE}, "image_url", "unsupported_parameter"),
        ({"type": "input_audio", "input_audio": {"data": ""}}, "", "invalid_request_error"),
        ({"type": "text", "text": 5}, "text", "invalid_request_error"),
        ("text", "", "invalid_request_error"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(served: Served, part: Any, param: str, code: str) -> None:
    """The error's param is the path in the client's body; in a list of jobs it begins with the job's number."""
    body = {"model": "demo", "messages": user(TEXT, part)}
    place = "messages.0.content.1" + ("." if param else "") + param
    for path, sent, before in (("chat/completions", body, ""), ("jobs", body, ""), ("jobs", [body], "0.")):
        error = served.client.post(f"/v1/{path}", json=sent).json()["error"]
        assert (error["param"], error["code"]) == (before + place, code), error
        assert before + place in error["message"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"n": 2}, "n=2 is not supported without sampling: all answers would be the same. Set temperature above 0."),
        ({"functions": [{"name": "f"}]}, "'functions' is not supported. Use tools, tool_choice and tool_calls."),
        ({"tool_choice": "required"}, "tool_choice asks for a call, but there are no tools."),
        ({"audio": {"voice": "x"}}, "'audio' is not supported. Leave it out."),
    ],
)
def test_a_refusal_says_which_values_are_supported(served: Served, more: dict[str, Any], message: str) -> None:
    """The message quotes a short value, and names the values that are accepted."""
    assert served.client.post("/v1/chat/completions", json=about(**more)).json()["error"]["message"] == message


def test_an_unknown_type_of_part_is_named(served: Served) -> None:
    """The message names the unknown type and the known ones, not the type that the whole message might have had."""
    parts = user(TEXT, {"type": "input_audio", "input_audio": {"data": ""}})
    message = served.client.post("/v1/chat/completions", json={"messages": parts}).json()["error"]["message"]
    assert "'input_audio'" in message
    assert "'image_url'" in message


def test_several_answers_stream_together_and_are_the_same_again(client: openai.OpenAI, served: Served) -> None:
    """Each has its index; the usage counts the prompt once, and a seed gives the same answers again."""
    odd = {"type": "text", "text": "Zebra, qwerty and 17 umbrellas?"}
    asked: Any = {"model": "demo-text", "messages": user(odd), "n": 3, "temperature": 2, "seed": 5, "max_tokens": 200}
    # Short answers may be a piece each: the tokens that end one are ruled out.
    asked["logit_bias"] = endless()["logit_bias"]
    whole = client.chat.completions.create(**asked)
    texts = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) > 1
    single = client.chat.completions.create(**{**asked, "n": 1})
    assert single.choices[0].message.content == texts[0]
    assert single.usage is not None
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == single.usage.prompt_tokens
    assert whole.usage.completion_tokens > single.usage.completion_tokens
    chunks = list(client.chat.completions.create(**asked, stream=True))
    parts = [chunk.choices[0] for chunk in chunks]
    assert ["".join(one.delta.content or "" for one in parts if one.index == index) for index in range(3)] == texts
    assert sorted(one.index for one in parts if one.finish_reason) == [0, 1, 2]
    # Not one answer after the other.
    order = [one.index for one in parts if one.delta.content]
    assert order != sorted(order)
    job = served.client.get(f"/v1/jobs/{whole.id.removeprefix('chatcmpl-')}").json()
    assert [choice["message"]["content"] for choice in job["result"]["choices"]] == texts


def test_programs_that_look_for_another_server_find_this_one(served: Served) -> None:
    """The root, LM Studio's list of models, and a sentence for the endpoints that are not captionq's."""
    for method in ("GET", "HEAD"):
        assert served.client.request(method, "/").status_code == 200
    models = {model["id"]: model for model in served.client.get("/api/v0/models").json()["data"]}
    assert (models["demo"]["type"], models["demo-text"]["type"]) == ("vlm", "llm")
    assert models["demo"]["max_context_length"] == 2048
    assert served.client.get("/api/v0/models/demo").json()["id"] == "demo"
    assert served.client.get("/api/v0/models/no/such").status_code == 404
    for path, words in (
        ("embeddings", "makes no embeddings"),
        ("audio/speech", "does not speak"),
        ("completions", "chat"),
    ):
        refused = served.client.post(f"/v1/{path}", json={"input": "x"})
        assert refused.status_code == 404
        assert words in refused.json()["error"]["message"]


def test_parameters_of_other_servers_are_ignored_by_their_names(served: Served) -> None:
    """Clients send default values, and settings of other servers. A header has the names of those that ask for something."""
    neutral = hello(n=1, tools=None, store=False, service_tier="auto", user="me", metadata=None, max_tokens=-1, seed=-1)
    accepted = served.client.post("/v1/chat/completions", json=neutral)
    assert (accepted.status_code, accepted.headers.get("x-captionq-ignored")) == (200, None)
    foreign = {"num_ctx": 4096, "reasoning_effort": "low", "odd\r\nname, x": 1, "max_tokens": 300.0}
    expected = "num_ctx, reasoning_effort, odd%0D%0Aname%2C x"
    for more in ({}, {"stream": True}):
        answer = served.client.post("/v1/chat/completions", json=hello(**foreign, **more))
        assert (answer.status_code, answer.headers["x-captionq-ignored"]) == (200, expected)
    listed = served.client.post("/v1/jobs", json=[hello(), hello(store=True)])
    assert (listed.status_code, listed.headers["x-captionq-ignored"]) == (201, "1.store")


def test_a_body_is_json_whatever_its_content_type_says(served: Served) -> None:
    """`curl -d` names a form, and other clients name nothing. A body that is not JSON is told the header."""
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = served.client.post("/v1/chat/completions", content=json.dumps(hello()), headers=headers)
        assert answer.status_code == 200, headers
        # The line is written after the answer has been sent.
        job = answer.headers["x-captionq-job"]
        until(lambda job=job: job in served.log_text(), "the line of the job")  # type: ignore[misc]
        refused = served.client.post("/v1/jobs", content="model=demo", headers=headers)
        assert refused.status_code == 400
        assert "Content-Type: application/json" in refused.json()["error"]["message"]
    comma = served.client.post("/v1/jobs", content='{"max_tokens": 1,}', headers={"Content-Type": "text/plain"})
    assert "JSON (trailing comma at line 1 column 18), and its Content-Type is" in comma.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"max_tokens": 1,}', "The body is not valid JSON (trailing comma at line 1 column 18)."),
        ("", "The body is empty. Send a JSON object."),
        ("null", "The body is no JSON object."),
        ('["Hello"]', "The body is no JSON object."),
        ('{"messages": ["Hello"]}', "messages.0: Input should be a JSON object."),
    ],
)
def test_a_body_that_is_no_object_says_so(served: Served, body: str, message: str) -> None:
    """A flaw of JSON is told with its place, as in files of requests; nothing speaks of Python's types."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    refused = served.client.post("/v1/chat/completions", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, message)


def test_images_come_as_files_paths_and_uploads(served: Served, tmp_path: Path) -> None:
    """An image is a bare string, a file: address, a path below the served folder, or an upload by its id."""
    drawn = draw_many(3)[2]
    folder = served.captionq.settings.data_dir.parent / "pictures"
    (folder / "one.png").write_bytes(png(drawn))
    file = served.client.post("/v1/files", files={"file": ("one.png", png(drawn))}, data={"purpose": "vision"}).json()
    references: list[Any] = [
        {"type": "image_url", "image_url": data_uri(png(drawn))},
        {"type": "image_url", "image_url": {"url": (folder / "one.png").as_uri()}},
        {"type": "image_url", "image_url": str(folder / "one.png")},
        {"type": "image_url", "image_url": {"url": f"file://localhost{folder}/one.png"}},
        {"type": "input_image", "image_url": base64.b64encode(png(drawn)).decode()},
        {"type": "image", "image": f"data:;base64,\n{base64.urlsafe_b64encode(png(drawn)).decode().rstrip('=')}"},
        {"type": "image_url", "image_url": {"file_id": file["id"]}},
        {"type": "image_file", "image_file": {"file_id": file["id"]}},
    ]
    for reference in references:
        response = served.client.post(
            "/v1/chat/completions", json={"model": "demo", "messages": user(reference, TEXT), "max_tokens": 64}
        )
        assert response.json()["choices"][0]["message"]["content"] == drawn.caption, reference


def test_low_detail_takes_fewer_tokens(client: openai.OpenAI) -> None:
    """A large picture is scaled down to 512 × 512, as by OpenAI."""
    drawn = draw_many(1)[0]
    large = Drawn(drawn.image.resize((1200, 1200), Image.Resampling.NEAREST), drawn.scene)
    usages = [
        client.chat.completions.create(model="demo", messages=user(picture(large, detail=detail), TEXT)).usage
        for detail in ("low", "high")
    ]
    assert usages[0] is not None
    assert usages[1] is not None
    assert usages[0].prompt_tokens <= usages[1].prompt_tokens


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("data:image/png;base64,!!!", 400, "invalid_base64_image"),
        ("data:image/png;base64,", 400, "empty_image_file"),
        (data_uri(b"this is no picture"), 400, "unsupported_image_media_type"),
        (data_uri(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), 400, ...),
        ("ftp://example.org/x.png", 400, "invalid_image_url"),
        ("blob:" + "0" * 64, 400, "invalid_image_url"),
        ("https://127.0.0.1/x.png", 403, "address_forbidden"),
        ("http://example.org/x.png", 400, "invalid_image_url"),
        ("file:///etc/passwd", 403, "image_file_forbidden"),
        ("/etc/passwd", 403, "image_file_forbidden"),
        ("file://pictures/one.png", 400, "invalid_image_url"),
        ("one.png", 400, "invalid_image_url"),
        ("~/one.png", 400, "invalid_image_url"),
        ("C:\\one.png", 400, "invalid_image_url"),
        ("file:///etc/nothing-of-this-name", 403, "image_file_forbidden"),
    ],
)
def test_an_image_that_cannot_be_used_has_its_own_code(served: Served, address: str, status: int, code: Any) -> None:
    """The message reveals no path of this machine."""
    response = served.client.post("/v1/chat/completions", json=about(address))
    assert response.status_code == status, response.text
    assert code is ... or response.json()["error"]["code"] == code
    given = "" if address.startswith("data:") else address
    said = response.json()["error"]["message"].replace("/folder/photo.jpg", "an example")
    paths = re.findall(r"/[^\s']+", said.replace("file://an", "an"))
    assert all(path in given for path in paths), response.text


def test_a_link_out_of_the_served_folder_leads_nowhere(served: Served, tmp_path: Path) -> None:
    """Steps upwards are refused as well. A missing file below the folder is reported as missing."""
    folder = served.captionq.settings.data_dir.parent / "pictures"
    (tmp_path / "secret.png").write_bytes(png(draw_many(1)[0]))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for path, status in (("link.png", 403), ("../data/captionq.db", 403), ("missing.png", 400)):
        response = served.client.post("/v1/chat/completions", json=about(f"{folder}/{path}"))
        assert response.status_code == status, (path, response.text)


def test_too_many_images_are_refused(served: Served) -> None:
    """The message has both numbers."""
    response = served.client.post("/v1/chat/completions", json=about(*["https://example.org/x.png"] * 33))
    assert response.json()["error"]["code"] == "too_many_images"
    assert "33" in response.json()["error"]["message"]


def test_models_are_listed(client: openai.OpenAI) -> None:
    """The list has the models of this server, the default model first."""
    models = list(client.models.list())
    assert [model.id for model in models][:2] == ["demo-text", "demo"]
    assert client.models.retrieve("demo-text").id == "demo-text"
