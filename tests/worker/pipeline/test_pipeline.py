"""The pipeline: preparation of requests beside the model."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import OutOfMemoryError
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from tests.support.odd_pictures import scanned_jpeg
from tests.support.processes import PATIENCE
from tests.support.servers import reply, serving
from worker.engine.sequences import Outcome
from worker.pipeline.pipeline import Pipeline
from worker.pipeline.preparation import NET_THREADS
from worker.pixels.decode import Picture, decode_if_quick
from worker.pixels.decoder import Decoder

LOCAL = (ip_network("127.0.0.1/32"),)


def png() -> bytes:
    """Return the bytes of a small picture."""
    written = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(written, "PNG")
    return written.getvalue()


def about(*urls: str) -> Request:
    """Make a request with a short question about pictures."""
    parts = [ImagePart(image_url=ImageURL(url=url)) for url in urls]
    message = Message(role="user", content=[*parts, TextPart(text="Describe this image.")])
    return Request(model="demo", messages=[message], sampling=Sampling(max_tokens=4))


@pytest.fixture
def slow_server() -> Iterator[tuple[str, threading.Event]]:
    """An address of a server that answers when the event is set."""
    release = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(PATIENCE)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.png", release
    release.set()
    server.shutdown()
    server.server_close()


def test_a_slow_download_delays_no_other_request(tmp_path: Path, slow_server: tuple[str, threading.Event]) -> None:
    """Requests that began later have their answers while the picture is still downloading."""
    url, release = slow_server
    settings = Settings(data_dir=tmp_path, allowed_networks=(ip_network("127.0.0.1/32"),), fetch_seconds=300)
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
    """The urgent request is ready in a moment, and would wait for all of that work."""
    monkeypatch.setattr("worker.pipeline.preparation.URGENT_WAIT_SECONDS", 60.0)
    pipeline = Pipeline(Settings(data_dir=tmp_path))
    pipeline.load("demo")
    asked = Request(model="demo", messages=[Message(role="user", content="Hello")], sampling=Sampling(max_tokens=4))
    for number in range(pipeline._settings.prefill_group):
        pipeline.begin(f"bulk-{number}", asked)
    wait([preparation.future for preparation in pipeline._preparations._under_way])
    pipeline.begin("urgent", asked, urgent=True)
    pipeline.step()
    assert pipeline._engine is not None
    assert [one.key for group in pipeline._engine._scheduler.groups for one in group.sequences] == ["urgent"]
    pipeline.close()


def test_an_urgent_download_holds_up_no_decoding(
    tmp_path: Path, slow_server: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download takes as long as its server: a wait for it would hold up the sequences that decode."""
    monkeypatch.setattr("worker.pipeline.preparation.URGENT_WAIT_SECONDS", 3600.0)
    url, release = slow_server
    pipeline = Pipeline(Settings(data_dir=tmp_path, allowed_networks=LOCAL))
    pipeline.load("demo")
    pipeline.begin("slow", about(url), urgent=True)
    asked = Request(model="demo", messages=[Message(role="user", content="Hello")], sampling=Sampling(max_tokens=4))
    pipeline.begin("bulk", asked)
    ended: list[Outcome] = []
    while not ended:
        ended = pipeline.step()
    assert [outcome.key for outcome in ended] == ["bulk"]
    release.set()
    pipeline.close()


def test_an_urgent_request_does_not_wait_for_the_servers_of_bulk_requests(
    tmp_path: Path, slow_server: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More bulk requests than threads hang; the urgent picture is downloaded, and decoded on the threads for decoding."""
    url, release = slow_server
    decoded_on: list[str] = []

    def watched(*arguments: Any, **more: Any) -> Picture | None:
        decoded_on.append(threading.current_thread().name)
        return decode_if_quick(*arguments, **more)

    monkeypatch.setattr("worker.pipeline.preparation.decode_if_quick", watched)
    pipeline = Pipeline(Settings(data_dir=tmp_path, allowed_networks=LOCAL))
    pipeline.load("demo")
    for number in range(NET_THREADS + 4):
        pipeline.begin(f"slow-{number}", about(url))
    with serving(reply(headers={"Content-Type": "image/png"}, body=png())) as quick:
        pipeline.begin("quick", about(f"{quick}/x.png"), urgent=True)
        ended: list[Outcome] = []
        while not ended:
            ended = pipeline.step()
    assert [outcome.key for outcome in ended] == ["quick"]
    assert ended[0].error is None
    assert [name.rpartition("_")[0] for name in decoded_on] == ["preprocess-urgent"]
    release.set()
    pipeline.close()


def test_a_request_that_is_dropped_asks_for_no_more_pictures(tmp_path: Path) -> None:
    """The request was at the first of three pictures."""
    asked: list[str] = []
    begun, release = threading.Event(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        begun.set()
        release.wait(60)
        reply(headers={"Content-Type": "image/png"}, body=png())(handler)

    pipeline = Pipeline(Settings(data_dir=tmp_path, allowed_networks=LOCAL))
    pipeline.load("demo")
    with serving(answer) as url:
        pipeline.begin("dropped", about(*(f"{url}/{number}.png" for number in range(3))))
        assert begun.wait(60)
        pipeline.cancel("dropped")
        release.set()
        # `close` waits until the threads have ended.
        pipeline.close()
    assert asked == ["/0.png"]


def test_slow_pictures_delay_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More slow pictures than threads are begun first; the other requests end before them."""
    release = threading.Event()
    begun = threading.Event()

    def slow(decoder: Decoder, *arguments: Any, **more: Any) -> list[Picture]:
        begun.set()
        release.wait(PATIENCE)
        return decode(decoder, *arguments, **more)

    decode = Decoder.decode_frames
    monkeypatch.setattr(Decoder, "decode_frames", slow)
    (tmp_path / "slow.jpg").write_bytes(scanned_jpeg((5000, 5000), 100))
    (tmp_path / "good.png").write_bytes(png())
    settings = Settings(data_dir=tmp_path, decode_seconds=0.1)
    pipeline = Pipeline(settings)
    pipeline.load("demo")
    for number in range(settings.preprocess_threads + 2):
        pipeline.begin(f"slow-{number}", about((tmp_path / "slow.jpg").as_uri()))
    pipeline.begin("slow-urgent", about((tmp_path / "slow.jpg").as_uri()), urgent=True)
    assert begun.wait(PATIENCE)
    pipeline.begin("good", about((tmp_path / "good.png").as_uri()))
    pipeline.begin("good-urgent", about((tmp_path / "good.png").as_uri()), urgent=True)
    ended: list[Outcome] = []
    while len(ended) < 2:
        ended += pipeline.step()
    assert {outcome.key: outcome.error for outcome in ended} == {"good": None, "good-urgent": None}
    release.set()
    while pipeline.in_flight:
        ended += pipeline.step()
    codes = [outcome.error.code for outcome in ended[2:] if outcome.error is not None]
    assert codes == ["image_too_slow"] * (settings.preprocess_threads + 3)
    pipeline.close()


def test_a_slow_picture_of_several_keeps_its_place(tmp_path: Path) -> None:
    """Slow and quick pictures are decoded on their own threads, and the model sees them in their order."""
    (tmp_path / "slow.jpg").write_bytes(scanned_jpeg((2400, 2400), 100))
    (tmp_path / "good.png").write_bytes(png())
    seen: list[list[tuple[int, int]]] = []
    pipeline = Pipeline(Settings(data_dir=tmp_path))
    pipeline.load("demo")
    prepare = pipeline._preparations._prepare

    def watched(request: Request, images: list[Image.Image]) -> Any:
        seen.append([image.size for image in images])
        return prepare(request, images)

    pipeline._preparations._prepare = watched
    names = ("good.png", "slow.jpg", "good.png")
    pipeline.begin("all", about(*((tmp_path / name).as_uri() for name in names)))
    while pipeline.in_flight:
        for outcome in pipeline.step():
            assert outcome.error is None
    assert seen == [[(64, 64), (1024, 1024), (64, 64)]]
    pipeline.close()


def test_preparation_that_runs_out_of_memory_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an error is transient, as an out-of-memory of the engine is."""
    pipeline = Pipeline(settings)
    pipeline.load("demo")

    def cramped(request: Request, images: list[Image.Image]) -> None:
        raise RuntimeError("[metal::malloc] Attempting to allocate 99 bytes")

    assert pipeline._resident is not None
    monkeypatch.setattr(pipeline._resident.engine.backend, "prepare", cramped)
    pipeline.begin("large", about())
    ended: list[Outcome] = []
    while pipeline.in_flight:
        ended += pipeline.step()
    assert [type(outcome.error) for outcome in ended] == [OutOfMemoryError]
    pipeline.close()
