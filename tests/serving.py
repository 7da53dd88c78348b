"""A real `captionq serve`, as a process, and what clients of it need."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from jobs.settings import Settings
from tests.processes import PATIENCE, Captionq, until

_ADDRESS = re.compile(r"serves at (http://\S+)/v1 ")


@dataclass
class Served:
    """One running server."""

    captionq: Captionq
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    client: httpx2.Client

    def stop(self) -> int:
        """As a supervisor does it; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def serving(settings: Settings, *options: str | Path, ready: bool = True, **environment: str) -> Iterator[Served]:
    """`captionq serve` at a free port; `ready`: with its worker, by the time that this yields."""
    captionq = Captionq(settings)
    log = settings.log_dir / "serve.out"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [captionq.script, "serve", "--port", "0", *map(str, options)],
            env={**captionq.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: bool(_ADDRESS.search(log.read_text())) or process.poll() is not None, "the server's address")
        found = _ADDRESS.search(log.read_text())
        assert found is not None, log.read_text()
        with httpx2.Client(base_url=found[1], timeout=PATIENCE, trust_env=False) as client:
            served = Served(captionq, process, found[1], log, client)
            until(lambda: _answers(client, "/readyz" if ready else "/healthz"), "the server")
            yield served
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        captionq.kill_all()


def _answers(client: httpx2.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx2.TransportError:
        return False


def data_uri(image: bytes | Path, kind: str = "image/png") -> str:
    """An image within its address."""
    data = image.read_bytes() if isinstance(image, Path) else image
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def about(*images: str, text: str = "Describe this image.", **more: Any) -> dict[str, Any]:
    """The body of a question about images."""
    parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    content = [*parts, {"type": "text", "text": text}]
    return {"model": "demo", "messages": [{"role": "user", "content": content}], "max_tokens": 64, **more}


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events: their names, ids and data."""
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
