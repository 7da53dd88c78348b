"""A real `captionq serve` as a process, and helpers of its clients."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis

from cli.benchmark.stage_totals import between, stages_in
from jobs.configuration.settings import Settings
from jobs.queue import broker
from jobs.queue.events import Event, read
from jobs.queue.worker_state import WorkerState, live_workers
from tests.support.forked_commands import ForkedCommand
from tests.support.known_models import know_built_in_models
from tests.support.migrated import copy_tables
from tests.support.processes import PATIENCE, Captionq, until

#: Tokens of an `endless` answer.
ENDLESS = 1900

_ADDRESS = re.compile(r"serves at (http://\S+)/v1 ")


@dataclass
class Served:
    """A running server."""

    captionq: Captionq
    process: ForkedCommand | subprocess.Popen[bytes]
    url: str
    log: Path
    client: httpx2.Client

    def stop(self) -> int:
        """Stop the server by SIGTERM, as a supervisor does; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def log_text(self) -> str:
        """Return everything that the server has printed."""
        return self.log.read_text()

    @contextmanager
    def broker(self) -> Iterator[Redis]:
        """Open a connection to the server's broker."""
        connection = broker.find(self.captionq.settings)
        assert connection is not None
        with connection:
            yield connection

    def paused(self) -> AbstractContextManager[None]:
        """Suspend the worker for the block (see `Captionq.paused`)."""
        return self.captionq.paused()

    def paused_at(self, happened: Callable[[], bool], what: str) -> AbstractContextManager[None]:
        """Suspend the worker for the block, soon after the condition has become true (see `Captionq.paused_at`)."""
        return self.captionq.paused_at(happened, what)

    def first_text(self, job_id: str) -> str:
        """Wait for the first text of a job, and return it."""
        deadline = time.monotonic() + PATIENCE
        events: list[Event] = []
        with self.broker() as connection:
            while not _text(events):
                assert time.monotonic() < deadline, "waited in vain for a job's first text"
                events += read(connection, job_id, events[-1].id if events else "0", wait=1)
        return _text(events)

    def text_of(self, job_id: str) -> str:
        """Return the text of a job so far."""
        with self.broker() as connection:
            return _text(read(connection, job_id))

    @contextmanager
    def cut_short(self) -> Iterator[None]:
        """Check that the block's only answer, an `endless` one, leaves the batch before its last token."""
        # The worker counts from the moment at which it loaded the model.
        self.client.post("/v1/chat/completions", json=hello(max_tokens=1))
        before = self._at_rest()
        yield
        done = between(stages_in(before.metrics), stages_in(self._at_rest().metrics))
        assert 0 < done["decode"]["amount"] < ENDLESS - 1

    def _at_rest(self) -> WorkerState:
        return self.next_state(lambda state: state.rows == 0, "the worker's rest")

    def next_state(self, suits: Callable[[WorkerState], bool], what: str) -> WorkerState:
        """Wait for a state that the worker publishes from now on, every second or, if it idles, every six; `what` names it."""
        since = time.time()
        found: list[WorkerState] = []

        def look() -> bool:
            found[:] = [state for state in live_workers(connection) if state.at > since and suits(state)]
            return bool(found)

        with self.broker() as connection:
            until(look, what)
        return found[0]


@contextmanager
def serving(
    settings: Settings, *options: str | Path, ready: bool = True, script: str | None = None, **environment: str
) -> Iterator[Served]:
    """Run `captionq serve` at a free port. `ready`: wait also for its worker. `script`: start this one, not a fork."""
    captionq = Captionq(settings)
    copy_tables(settings)
    if "--no-worker" not in options:
        know_built_in_models(settings)
    log = settings.log_dir / "serve.out"
    process = _started(script, ["serve", "--port", "0", *map(str, options)], captionq.environment | environment, log)
    try:
        until(lambda: bool(_ADDRESS.search(log.read_text())) or process.poll() is not None, "the server's address")
        found = _ADDRESS.search(log.read_text())
        assert found is not None, log.read_text()
        with httpx2.Client(base_url=found[1], timeout=PATIENCE, trust_env=False) as client:
            served = Served(captionq, process, found[1], log, client)
            until(lambda: _answers(client, "/readyz" if ready else "/healthz"), "the server")
            yield served
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)
        finally:
            process.kill()
            captionq.kill_all()
            process.wait(PATIENCE)


def _started(
    script: str | None, arguments: list[str], environment: dict[str, str], log: Path
) -> ForkedCommand | subprocess.Popen[bytes]:
    log.write_bytes(b"")
    if script is None:
        return ForkedCommand(arguments, environment, log, log)
    with log.open("wb") as output:
        return subprocess.Popen(
            [script, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _text(events: Iterable[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "tokens")


def _answers(client: httpx2.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx2.TransportError:
        return False


def data_uri(image: bytes | Path, kind: str = "image/png") -> str:
    """Return a data: address with the image."""
    data = image.read_bytes() if isinstance(image, Path) else image
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def about(*images: str, text: str = "Describe this image.", **more: Any) -> dict[str, Any]:
    """Return the body of a question about images."""
    parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    content = [*parts, {"type": "text", "text": text}]
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 64,
        "cache": False,
        **more,
    }


def hello(**more: Any) -> dict[str, Any]:
    """Return the body of a request that is answered fast."""
    return {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}], "cache": False, **more}


def endless(**more: Any) -> dict[str, Any]:
    """Return the body of a request that takes seconds: the token that ends an answer is ruled out."""
    return {**hello(max_tokens=ENDLESS, logit_bias={"0": -100, "2": -100}), **more}


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Parse server-sent events: their names, ids and data."""
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line and event:
            yield event
            event = {}
        elif name == "data":
            event["data"] = value if value == "[DONE]" else json.loads(value)
        elif name in ("event", "id"):
            event[name] = value
