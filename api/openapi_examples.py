"""Examples in the OpenAPI document: a body for each operation that takes JSON, and a description of each tag."""

from __future__ import annotations

from typing import Any

#: Tags in the order of their chapters, each with its description.
TAGS = {
    "chat": "OpenAI's chat completions: a conversation that may contain images, answered at once.",
    "responses": "OpenAI's Responses: answers that can be retrieved, continued, and made in the background.",
    "messages": "Anthropic's messages and message batches.",
    "ollama": "Ollama's chat and generate, and its lists of models.",
    "jobs": "Questions that are answered later: queue, poll, follow, cancel and retry them.",
    "folders": "Runs over every image of a served folder, or of an upload.",
    "runs": "Folders, batches, lists of jobs, and runs of commands: their state, to pause and to resume.",
    "files": "Uploaded images, files of requests, and files of results.",
    "batches": "OpenAI's batches: a file of requests in, a file of answers out.",
    "models": "The models that requests may name, and downloads of others.",
    "health": "Health checks and metrics.",
}

_QUESTION = "Which of these is larger, a mouse or a horse?"
_MESSAGES = [{"role": "user", "content": _QUESTION}]
_ABOUT_A_PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "/pictures/holiday/beach.jpg"}},
            {"type": "text", "text": "Describe this image."},
        ],
    }
]

#: Bodies by method and path. A path of a picture has to be below a served folder.
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/chat/completions"): {"messages": _MESSAGES, "max_tokens": 100},
    ("post", "/v1/responses"): {"input": _QUESTION, "max_output_tokens": 100},
    ("post", "/v1/messages"): {"messages": _MESSAGES, "max_tokens": 100},
    ("post", "/v1/messages/count_tokens"): {"messages": _MESSAGES},
    ("post", "/v1/messages/batches"): {
        "requests": [{"custom_id": "question-1", "params": {"messages": _MESSAGES, "max_tokens": 100}}]
    },
    ("post", "/api/chat"): {"messages": _MESSAGES, "stream": False},
    ("post", "/api/generate"): {"prompt": _QUESTION, "stream": False},
    ("post", "/api/show"): {"model": "demo"},
    ("post", "/api/pull"): {"model": "demo", "stream": False},
    ("post", "/v1/jobs"): {"messages": _ABOUT_A_PICTURE, "max_tokens": 100},
    ("post", "/v1/downloads"): {"model": "mlx-community/gemma-3-4b-it-4bit"},
    ("post", "/v1/folders"): {"path": "/pictures/holiday", "preset": "describe"},
    ("post", "/v1/batches"): {
        "input_file_id": "file_0",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
}


def add_examples(document: dict[str, Any]) -> None:
    """Add the examples and the descriptions of the tags to an OpenAPI document."""
    document["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    for (method, path), body in BODIES.items():
        document["paths"][path][method]["requestBody"]["content"]["application/json"]["example"] = body
