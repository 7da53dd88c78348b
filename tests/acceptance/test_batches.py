"""Files and batches through the unmodified OpenAI client, against a real `captionq serve`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Batch

from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import png
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import draw_many
from tests.support.serving import Served, about, data_uri, hello, serving
from tests.support.webhooks import SECRET

pytestmark = pytest.mark.timeout(300)

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("batches") / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, CAPTIONQ_WEBHOOK_SECRET=SECRET, CAPTIONQ_ALLOWED_NETWORKS='["127.0.0.0/8"]') as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    """OpenAI's client, as a program uses it."""
    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", http_client=http) as client:
        yield client


def line(custom_id: str, body: dict[str, Any], url: str = CHAT) -> str:
    """Return a line of a batch's file."""
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def upload(client: openai.OpenAI, *lines: str) -> str:
    """Upload the lines, and return the file's id."""
    content = "".join(f"{one}\n" for one in lines).encode()
    return client.files.create(file=("requests.jsonl", content), purpose="batch").id


def submit(client: openai.OpenAI, *lines: str, **more: Any) -> Batch:
    """Upload the lines, and create a batch of them."""
    return client.batches.create(
        input_file_id=upload(client, *lines),
        endpoint="/v1/chat/completions",
        **{"completion_window": "24h", **more},
    )


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    """Wait for the end of a batch."""
    until(lambda: client.batches.retrieve(batch.id).status in ENDED, "the end of a batch")
    return client.batches.retrieve(batch.id)


def results(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """Download a file of results."""
    assert file_id is not None
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()]


def test_a_batch_from_upload_to_download(client: openai.OpenAI) -> None:
    """Pictures as data: addresses and as file_id, texts and a request that cannot be served, in the shapes of OpenAI's client."""
    scenes = draw_many(3)
    stored = client.files.create(file=("scene.png", png(scenes[2])), purpose="vision")
    by_id = hello(
        model="demo",
        max_tokens=64,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"file_id": stored.id}},
                    {"type": "text", "text": "Describe this image."},
                ],
            }
        ],
    )
    odd_id = "é\u2028 \u0000" + "x" * 500
    batch = submit(
        client,
        line("first", about(data_uri(png(scenes[0])))),
        line(odd_id, about(data_uri(png(scenes[1])))),
        line("bad", hello(model="demo", temperature=7)),
        line("by id", by_id),
        metadata={"project": "tests"},
    )
    assert (batch.status, batch.completion_window, batch.metadata) == ("validating", "24h", {"project": "tests"})
    done = ended(client, batch)
    assert done.status == "completed", done
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (4, 3, 1)
    answers = results(client, done.output_file_id)
    assert [one["custom_id"] for one in answers] == ["first", odd_id, "by id"]
    assert [one["response"]["body"]["choices"][0]["message"]["content"] for one in answers] == [
        scene.caption for scene in scenes
    ]
    assert {(one["response"]["status_code"], one["error"]) for one in answers} == {(200, None)}
    assert done.usage is not None
    usages = [one["response"]["body"]["usage"] for one in answers]
    assert done.usage.total_tokens == sum(usage["total_tokens"] for usage in usages)
    (bad,) = results(client, done.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 400)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**hello_without_cache(temperature=7))
    assert bad["response"]["body"]["error"] == refused.value.body
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert times == sorted(time for time in times if time is not None)
    file = client.files.retrieve(done.output_file_id or "")
    assert (file.purpose, file.bytes) == ("batch_output", len(client.files.content(file.id).content))


def hello_without_cache(**more: Any) -> dict[str, Any]:
    """Return the body of a fast request for the client's own method."""
    body = hello(**more)
    return {name: value for name, value in body.items() if name != "cache"}
