"""Recorded requests of programs that cannot be installed here, as their sources write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

ASK = "Describe this image."
TAGS = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "maxItems": 2}},
    "required": ["tags"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Recorded:
    """A request of a program: the path, the body about a picture in base64, and the way to the text in the answer."""

    path: str
    body: Callable[[str], dict[str, Any]]
    read: Callable[[httpx2.Response], str]
    #: Whether the text is JSON by `TAGS`; else it is the picture's caption.
    typed: bool = False


def uri(image: str, kind: str = "png") -> str:
    """Return a data: address."""
    return f"data:image/{kind};base64,{image}"


def chat_text(response: httpx2.Response) -> str:
    """Return the text of a chat completion that ended by itself."""
    choice = response.json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    return str(choice["message"]["content"])


def ollama_chat_text(response: httpx2.Response) -> str:
    """Return the text of Ollama's chat."""
    return str(response.json()["message"]["content"])


def ollama_stream_text(response: httpx2.Response) -> str:
    """Return the joined text of a stream of Ollama's chat, which ends with the token counts."""
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines[-1]["done"]
    assert lines[-1]["eval_count"] > 0
    return "".join(line["message"]["content"] for line in lines)


def first_text(response: httpx2.Response) -> str:
    """Return the first text of any output item, as PhotoPrism does."""
    texts = [part["text"] for item in response.json()["output"] for part in item["content"] if part["text"].strip()]
    return str(texts[0])


def chat_parts(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one message of a user."""
    return [{"role": "user", "content": list(parts)}]


def response_parts(image: str) -> list[dict[str, Any]]:
    """Return the content of a message for Responses."""
    return [
        {"type": "input_text", "text": ASK},
        {"type": "input_image", "image_url": uri(image, "jpeg"), "detail": "low"},
    ]


TEXT = {"type": "text", "text": ASK}
PROGRAMS = {
    "PhotoPrism, Engine ollama, caption": Recorded(
        "/api/generate",
        lambda image: {
            "id": "b2c1",
            "model": "demo:latest",
            "system": "",
            "prompt": ASK,
            "images": [image],
            "stream": False,
            "think": "false",
            "options": {"temperature": 0, "top_p": 0.9, "stop": ["\n\n"], "num_ctx": 4096},
        },
        lambda response: str(response.json()["response"]),
    ),
    "PhotoPrism, Engine ollama, labels": Recorded(
        "/api/generate",
        lambda image: {
            "model": "demo",
            "prompt": ASK,
            "images": [image],
            "format": TAGS,
            "stream": False,
            "options": {"temperature": 0.01, "top_k": 40, "seed": 3407, "num_predict": 60},
        },
        lambda response: str(response.json()["response"]),
        typed=True,
    ),
    "PhotoPrism, Engine openai, caption": Recorded(
        "/v1/responses",
        lambda image: {
            "model": "demo",
            "input": [
                {"role": "user", "type": "message", "content": response_parts(image)},
            ],
            "reasoning": {"effort": "low"},
            "max_output_tokens": 512,
            "presence_penalty": 0.1,
            "service_tier": "auto",
        },
        first_text,
    ),
    "PhotoPrism, Engine openai, labels": Recorded(
        "/v1/responses",
        lambda image: {
            "model": "demo",
            "input": [
                {"role": "system", "content": [{"type": "input_text", "text": "Return JSON."}]},
                {"role": "user", "content": response_parts(image)},
            ],
            "text": {"format": {"type": "json_schema", "name": "labels", "schema": TAGS, "strict": True}},
            "max_output_tokens": 1024,
        },
        first_text,
        typed=True,
    ),
    "Karakeep, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo",
            "format": {"$schema": "http://json-schema.org/draft-07/schema#", **TAGS},
            "stream": True,
            "keep_alive": "5m",
            "options": {"num_ctx": 2048, "num_predict": 2048},
            "messages": [{"role": "user", "content": ASK, "images": [image]}],
        },
        ollama_stream_text,
        typed=True,
    ),
    "Karakeep, OpenAI": Recorded(
        "/v1/chat/completions",
        lambda image: {
            "model": "demo",
            "messages": chat_parts(TEXT, {"type": "image_url", "image_url": {"url": uri(image), "detail": "low"}}),
            "max_completion_tokens": 2048,
            "service_tier": "flex",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "schema", "strict": True, "schema": TAGS},
            },
        },
        chat_text,
        typed=True,
    ),
    "Home Assistant LLM Vision, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo:latest",
            "messages": [{"role": "user", "content": ASK, "images": [image]}],
            "images": [image],
            "stream": False,
            "think": False,
            "keep_alive": 5,
            "options": {"num_predict": 200, "temperature": 0, "top_p": 0.9, "num_ctx": 2048},
        },
        ollama_chat_text,
    ),
    "paperless-gpt, OpenAI, and Home Assistant LLM Vision, LocalAI": Recorded(
        "/v1/chat/completions",
        lambda image: {
            "model": "demo",
            "messages": chat_parts({"type": "image_url", "image_url": {"url": uri(image, "jpeg")}}, TEXT),
            "max_completion_tokens": 200,
            "temperature": 0,
            "top_p": 0.9,
            "stream": False,
        },
        chat_text,
    ),
    "Open WebUI, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo:latest",
            "messages": [{"role": "user", "content": ASK, "images": [image]}],
            "options": {"num_ctx": 8192, "num_batch": 512, "repeat_penalty": 1.0, "mirostat": 0, "num_gpu": 99},
            "stream": True,
        },
        ollama_stream_text,
    ),
    "LrGeniusAI, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo",
            "messages": [
                {"role": "system", "content": "You are an assistant."},
                {"role": "user", "content": ASK, "images": [image]},
            ],
            "stream": False,
            "format": TAGS,
            "options": {"temperature": 0.1},
        },
        ollama_chat_text,
        typed=True,
    ),
    "Obsidian AI Image Analyzer, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo:latest",
            "messages": [{"role": "user", "content": ASK, "images": [image]}],
            "stream": False,
        },
        ollama_chat_text,
    ),
    "Obsidian AI Image Analyzer, llama.cpp": Recorded(
        "/v1/chat/completions",
        lambda image: {
            "model": "demo",
            "messages": chat_parts(TEXT, {"type": "image_url", "image_url": {"url": uri(image)}}),
            "stream": False,
        },
        chat_text,
    ),
    "pyimgtag, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo",
            "messages": [{"role": "user", "content": ASK, "images": [image]}],
            "stream": False,
            "think": False,
            "format": TAGS,
            "options": {"temperature": 0, "num_predict": 512},
        },
        ollama_chat_text,
        typed=True,
    ),
    "paperless-gpt, Ollama": Recorded(
        "/api/chat",
        lambda image: {
            "model": "demo",
            "messages": [{"role": "user", "content": ASK, "images": [image], "thinking": ""}],
            "options": {"num_ctx": 4096, "temperature": 0.0, "f16_kv": True},
            "keep_alive": "5m",
            "stream": True,
        },
        ollama_stream_text,
    ),
}
