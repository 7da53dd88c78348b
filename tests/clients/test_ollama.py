"""Ollama's own client, unmodified."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import ollama
import pytest

from api.routes.ollama_models import API_VERSION
from tests.acceptance.test_chat import png
from tests.support.processes import until
from tests.support.scenes import Drawn
from tests.support.serving import Served

pytestmark = pytest.mark.timeout(300)

ASK = "Describe this image."
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


def ollama_url(served: Served) -> str:
    """Return the address that the server tells for Ollama's clients."""
    found = re.search(r"Clients of Ollama are served at (http://\S+)\.", served.log_text())
    assert found is not None, served.log_text()
    return found[1]


@pytest.fixture
def client(served: Served) -> Iterator[ollama.Client]:
    """Ollama's client, at the port for it."""
    with ollama.Client(host=ollama_url(served)) as client:
        yield client


def test_a_picture_is_captioned_whole_and_in_pieces(client: ollama.Client, drawn: Drawn) -> None:
    """Chat and generate give the same text, with tokens counted and durations measured."""
    message = {"role": "user", "content": ASK, "images": [png(drawn)]}
    answer = client.chat(model="demo", messages=[message])
    assert answer.message.content == drawn.caption
    assert (answer.model, answer.done, answer.done_reason) == ("demo", True, "stop")
    assert (answer.prompt_eval_count or 0) > 20
    assert (answer.eval_count or 0) > 5
    assert (answer.total_duration or 0) > 0
    pieces = list(client.chat(model="demo:latest", messages=[message], stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == drawn.caption
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].eval_count == answer.eval_count
    generated = client.generate(model="demo", prompt=ASK, images=[png(drawn)], system="Answer.", keep_alive="5m")
    assert generated.response
    parts = list(client.generate(model="demo", prompt=ASK, images=[png(drawn)], stream=True))
    assert "".join(part.response or "" for part in parts) == drawn.caption


def test_options_and_formats_reach_the_model(client: ollama.Client) -> None:
    """An answer is cut off, follows a schema or is any JSON object; options of Ollama's engine are accepted."""
    hello = [{"role": "user", "content": "Hello"}]
    cut = client.chat(
        model="demo-text", messages=hello, options={"num_predict": 2, "num_ctx": 4096, "seed": 1, "temperature": 0.5}
    )
    assert (cut.eval_count, cut.done_reason) == (2, "length")
    typed = client.chat(model="demo-text", messages=hello, format=SCHEMA)
    assert json.loads(typed.message.content or "")["colour"] in ("red", "blue")
    generated = client.generate(model="demo-text", prompt="Hello", format="json", options={"num_predict": 40})
    assert (generated.response or "").startswith("{")


def test_a_conversation_with_tools_is_answered(client: ollama.Client) -> None:
    """The client describes a function, and tells the result of a call."""

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"Sunny in {city}."

    call = ollama.Message.ToolCall(
        function=ollama.Message.ToolCall.Function(name="weather", arguments={"city": "Rome"})
    )
    messages = [
        ollama.Message(role="user", content="How is it in Rome?"),
        ollama.Message(role="assistant", tool_calls=[call]),
        ollama.Message(role="tool", content=weather("Rome"), tool_name="weather"),
    ]
    answer = client.chat(model="demo-text", messages=messages, tools=[weather], options={"num_predict": 20})
    assert answer.message.content or answer.message.tool_calls


def test_models_are_listed_described_and_loaded(client: ollama.Client) -> None:
    """The names have Ollama's tag; a pull of a model that is here succeeds; a request without a prompt loads."""
    listed = {model.model: model for model in client.list().models}
    assert {"demo:latest", "demo-text:latest"} <= set(listed)
    assert listed["demo:latest"].size
    shown = client.show("demo:latest")
    assert shown.capabilities == ["completion", "tools", "vision"]
    assert client.show("demo-text").capabilities == ["completion", "tools"]
    loaded = client.generate(model="demo")
    assert (loaded.response, loaded.done_reason) == ("", "load")
    assert client.chat(model="demo").done_reason == "load"
    # The worker publishes its model once a second.
    until(lambda: "demo:latest" in [model.model for model in client.ps().models], "the worker's model")
    assert client.pull("demo").status == "success"
    assert [one.status for one in client.pull("demo", stream=True)][-1] == "success"


def test_a_request_to_unload_loads_nothing(served: Served, client: ollama.Client) -> None:
    """`ollama stop` sends it: the model stays as `CAPTIONQ_KEEP_ALIVE` says, and no other takes its place."""
    jobs = served.client.get("/v1/jobs").json()["first_id"]
    for path, keep_alive in (("/api/generate", 0), ("/api/chat", "0s")):
        answer = served.client.post(path, json={"model": "demo-text", "keep_alive": keep_alive})
        assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "unload")
        assert answer.headers["x-captionq-ignored"] == "keep_alive"
    assert served.client.get("/v1/jobs").json()["first_id"] == jobs
    missing = served.client.post("/api/generate", json={"model": "nothing", "keep_alive": 0})
    assert missing.status_code == 404
    assert client.generate(model="demo-text", keep_alive=0).done_reason == "unload"


def test_errors_are_a_sentence(client: ollama.Client) -> None:
    """The client raises its own error with the status and the sentence."""
    with pytest.raises(ollama.ResponseError, match="Model 'nothing' not found") as missing:
        client.chat(model="nothing", messages=[{"role": "user", "content": "Hello"}])
    assert missing.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="no model 'nothing' to download"):
        client.pull("nothing")
    with pytest.raises(ollama.ResponseError, match=r"^format: The schema cannot be followed"):
        client.generate(model="demo-text", prompt="Hello", format={"type": "what"})
    with pytest.raises(ollama.ResponseError, match="no embeddings"):
        client.embed(model="demo-text", input="Hello")
    with pytest.raises(ollama.ResponseError, match="images"):
        client.chat(model="demo-text", messages=[{"role": "user", "content": "x", "images": [b"no picture"]}])


def test_only_the_port_for_ollama_says_that_ollama_runs(served: Served) -> None:
    """Programs that look for Ollama get its greeting; at the other port captionq has its own."""
    home = ollama_url(served)
    assert served.client.get(f"{home}/").text == "Ollama is running"
    assert served.client.head(f"{home}/").status_code == 200
    assert served.client.get(f"{home}/api/version").json() == {"version": API_VERSION}
    assert served.client.head("/api/version").status_code == 200
    assert served.client.get("/").text.startswith("captionq is running")


def test_a_port_that_is_taken_is_refused_in_words(served: Served) -> None:
    """The sentence names the option, and Ollama itself as the likely owner."""
    port = ollama_url(served).rpartition(":")[2]
    environment = served.captionq.environment
    command = [served.captionq.script, "serve", "--port", "0", "--ollama-port", port]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "Stop Ollama if it is running, or choose another --ollama-port." in done.stderr
