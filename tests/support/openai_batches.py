"""Batches by OpenAI's unmodified client."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.support.processes import PATIENCE

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, body: dict[str, Any], url: str = CHAT) -> str:
    """Return a line of a batch's file."""
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def upload(client: openai.OpenAI, *lines: str) -> str:
    """Upload the lines, and return the file's id."""
    content = "".join(f"{one}\n" for one in lines).encode()
    file_id: str = client.files.create(file=("requests.jsonl", content), purpose="batch").id
    return file_id


def submit(client: openai.OpenAI, *lines: str, **more: Any) -> Batch:
    """Upload the lines, and create a batch of them."""
    return client.batches.create(
        input_file_id=upload(client, *lines),
        **{"endpoint": CHAT, "completion_window": "24h", **more},
    )


def ended(client: openai.OpenAI, batch: Batch, patience: float = PATIENCE) -> Batch:
    """Wait for the end of a batch."""
    deadline = time.monotonic() + patience
    while (batch := client.batches.retrieve(batch.id)).status not in ENDED:
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def results(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """Download a file of results."""
    assert file_id is not None
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()]
