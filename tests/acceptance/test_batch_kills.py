"""A batch through kill −9 of the worker, the broker and the API: its results are those of an undisturbed run.

`CAPTIONQ_TEST_BATCH_LINES=1000` asks more (`make batch-kills`).
In the gate, `tests/jobs/batches/test_deaths.py` ends a batch at any write, and the server of `test_serve.py` loses its worker and
its broker.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import png
from tests.support.openai_batches import ended, line, results, submit
from tests.support.processes import until
from tests.support.scenes import draw
from tests.support.serving import Served, about, data_uri, hello, serving

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

LINES = int(os.environ.get("CAPTIONQ_TEST_BATCH_LINES", "40"))
#: Seconds for one run, on a slow machine.
PATIENCE = 120 + LINES
#: Pictures that are uploaded once, and asked about by their ids.
UPLOADED = 10

pytestmark = pytest.mark.timeout(3 * PATIENCE)


@contextmanager
def client_of(served: Served) -> Iterator[openai.OpenAI]:
    """Open OpenAI's client."""
    import openai

    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", http_client=http) as client:
        yield client


def requests(client: openai.OpenAI) -> list[str]:
    """Return lines about pictures in `data:` addresses and by `file_id`; some cannot be answered, each in another way."""
    pictures = [draw(seed, (96, 96)) for seed in range(min(LINES, 200))]
    uploads = [
        client.files.create(file=(f"{seed}.png", png(drawn)), purpose="vision").id
        for seed, drawn in enumerate(pictures[:UPLOADED])
    ]
    no_image = client.files.create(file=("x", b"no image"), purpose="user_data").id
    lines = []
    for number in range(LINES):
        match number % 10:
            case 3:
                body = by_id(uploads[number % UPLOADED])
            case 6:
                body = by_id(no_image)
            case 8:
                body = hello(model="demo", temperature=7)
            case _:
                body = about(data_uri(png(pictures[number % len(pictures)])))
        lines.append(line(f"line {number}", body))
    return lines


def by_id(file_id: str) -> dict[str, Any]:
    """Return a question about an uploaded picture."""
    picture = {"type": "image_url", "image_url": {"file_id": file_id}}
    content = [picture, {"type": "text", "text": "Describe this image."}]
    return hello(model="demo", messages=[{"role": "user", "content": content}], max_tokens=64)


def outcomes(client: openai.OpenAI, batch: Batch) -> dict[str, Any]:
    """Return everything that a client learns from a batch, apart from ids and times."""
    counts, usage = batch.request_counts, batch.usage
    assert counts is not None
    assert usage is not None
    found: dict[str, Any] = {"status": batch.status, "counts": counts.model_dump(), "usage": usage.model_dump()}
    for file_id in (batch.output_file_id, batch.error_file_id):
        for one in results(client, file_id):
            body = one["response"]["body"]
            body.pop("id", None), body.pop("created", None)
            assert one["custom_id"] not in found
            found[one["custom_id"]] = (one["response"]["status_code"], body, one["error"])
    return found


def wait_for(client: openai.OpenAI, batch: Batch, share: float) -> None:
    """Wait until this share of the lines has been answered."""

    def answered() -> bool:
        counts = client.batches.retrieve(batch.id).request_counts
        return counts is not None and counts.completed >= share * LINES

    until(answered, "answers")


@pytest.mark.thorough
def test_kills_change_nothing(settings: Settings) -> None:
    """First the worker dies, then the broker, then the API with both of them; every line still has its one answer."""
    with serving(settings) as served, client_of(served) as client:
        lines = requests(client)
        batch = submit(client, *lines)
        wait_for(client, batch, 0.1)
        os.kill(served.captionq.worker_pid(), signal.SIGKILL)
        wait_for(client, batch, 0.25)
        os.kill(int((settings.broker_dir / "server.lock").read_text()), signal.SIGKILL)
        wait_for(client, batch, 0.4)
        served.process.kill()
        served.process.wait()
    with serving(settings) as served, client_of(served) as client:
        disturbed = outcomes(client, ended(client, batch, PATIENCE))
        undisturbed = outcomes(client, ended(client, submit(client, *lines), PATIENCE))
    assert disturbed == undisturbed
    assert disturbed["counts"] == {"total": LINES, "completed": LINES * 8 // 10, "failed": LINES * 2 // 10}
