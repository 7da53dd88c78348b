"""The pipeline: what is prepared beside the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from jobs.requests import ImagePart, ImageURL, Message, Request, Sampling, TextPart
from jobs.settings import Settings
from worker.engine import GROUP
from worker.pipeline import Outcome, Pipeline


@pytest.fixture
def slow_server() -> Iterator[tuple[str, threading.Event]]:
    """An address whose answer comes when somebody sets the event."""
    release = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(60)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.png", release
    release.set()
    server.shutdown()
    server.server_close()


def test_a_picture_that_is_slow_to_come_delays_nobody_else(
    tmp_path: Path, slow_server: tuple[str, threading.Event]
) -> None:
    """Those that began after it have their answers while it is still being fetched."""
    url, release = slow_server
    settings = Settings(data_dir=tmp_path, allowed_networks=(ip_network("127.0.0.1/32"),))
    pipeline = Pipeline(settings)
    pipeline.load("demo")
    slow = [ImagePart(image_url=ImageURL(url=url)), TextPart(text="Describe this image.")]
    sampling = Sampling(max_tokens=4)
    pipeline.begin("slow", Request(model="demo", messages=[Message(role="user", content=slow)]), urgent=True)
    quick = Request(model="demo", messages=[Message(role="user", content="Hello")], sampling=sampling)
    pipeline.begin("quick", quick, urgent=True)
    ended: list[Outcome] = []
    while not ended:
        ended = pipeline.step()
    assert [outcome.key for outcome in ended] == ["quick"]
    release.set()
    while pipeline.in_flight:
        ended += pipeline.step()
    assert ended[-1].key == "slow"
    assert ended[-1].error is not None
    assert ended[-1].error.code == "failed_to_download_image"
    pipeline.close()


def test_bulk_work_is_not_begun_while_an_urgent_request_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for all of that work, though it is ready in a moment."""
    monkeypatch.setattr("worker.pipeline.URGENT_PATIENCE", 60.0)
    pipeline = Pipeline(Settings(data_dir=tmp_path))
    pipeline.load("demo")
    asked = Request(model="demo", messages=[Message(role="user", content="Hello")], sampling=Sampling(max_tokens=4))
    for number in range(GROUP):
        pipeline.begin(f"bulk-{number}", asked)
    wait([preparation.future for preparation in pipeline._preparing])
    pipeline.begin("urgent", asked, urgent=True)
    pipeline.step()
    assert pipeline._engine is not None
    assert [row.key for intake in pipeline._engine._intakes for row in intake.rows] == ["urgent"]
    pipeline.close()
