"""Time and memory of a batch of many lines, answered by the stub: what captionq itself costs, without a model.

python -m bench.batches [--lines 50000] [--image-bytes 3000]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import openai
import psutil

_ADDRESS = re.compile(r"serves at (http://\S+)/v1 ")
#: Seconds between two looks at the memory of the processes.
SAMPLE_EVERY = 0.1
_PICTURE = (Path(__file__).parents[1] / "examples" / "scene-02.png").read_bytes()
ENDED = ("completed", "failed", "expired", "cancelled")


class MemoryPeaks:
    """The peak resident memory of the server's processes, by their roles."""

    def __init__(self, server: psutil.Process) -> None:
        self._server = server
        self.peaks: dict[str, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY):
            # A process may end at any moment.
            with suppress(psutil.Error):
                for process in [self._server, *self._server.children(recursive=True)]:
                    role, size = _role(process), process.memory_info().rss
                    self.peaks[role] = max(self.peaks.get(role, 0), size)


def _role(process: psutil.Process) -> str:
    words = process.cmdline()
    if any("valkey" in word for word in words[:1]):
        return "broker"
    return "worker" if "work" in words else "api"


def write_lines(path: Path, lines: int, image_bytes: int) -> None:
    """Write a file of different requests, each with an image of random bytes if `image_bytes` is not 0."""
    with path.open("w") as file:
        for number in range(lines):
            content: list[dict[str, object]] = [{"type": "text", "text": f"What is number {number}?"}]
            if image_bytes:
                # A whole picture, and noise behind its end.
                data = _PICTURE + os.urandom(image_bytes)
                url = "data:image/png;base64," + base64.b64encode(data).decode()
                content.append({"type": "image_url", "image_url": {"url": url}})
            body = {"messages": [{"role": "user", "content": content}]}
            request = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(request) + "\n")


def measure(path: Path, lines: int) -> dict[str, object]:
    """Send the file to a server of its own, and wait for the last answer."""
    with tempfile.TemporaryDirectory(prefix="captionq-") as folder:
        environment = {**os.environ, "CAPTIONQ_DATA_DIR": folder, "CAPTIONQ_MODEL": "stub"}
        log = Path(folder) / "serve.out"
        with log.open("wb") as output:
            command = [str(Path(sys.executable).with_name("captionq")), "serve", "--port", "0"]
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            while (found := _ADDRESS.search(log.read_text())) is None:
                time.sleep(0.1)
            peaks = MemoryPeaks(psutil.Process(server.pid))
            with openai.OpenAI(base_url=f"{found[1]}/v1", api_key="any", http_client=httpx2.Client()) as client:
                figures = _run(client, path)
            peaks.close()
        finally:
            server.terminate()
            server.wait()
    figures["lines_per_second"] = round(lines / float(str(figures["seconds"])), 1)
    return {**figures, "peak_mb": {role: round(size / 1e6) for role, size in sorted(peaks.peaks.items())}}


def _run(client: openai.OpenAI, path: Path) -> dict[str, object]:
    begun = time.perf_counter()
    with path.open("rb") as file:
        uploaded = client.files.create(file=file, purpose="batch")
    up = time.perf_counter()
    batch = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
    validated = 0.0
    while batch.status not in ENDED:
        time.sleep(0.5)
        batch = client.batches.retrieve(batch.id)
        if batch.in_progress_at is not None and not validated:
            validated = time.perf_counter()
    done = time.perf_counter()
    content = client.files.content(batch.output_file_id or "").content
    downloaded = time.perf_counter()
    assert batch.request_counts is not None
    return {
        "status": batch.status,
        "completed": batch.request_counts.completed,
        "upload_seconds": round(up - begun, 1),
        "validation_seconds": round(validated - up, 1),
        "seconds": round(done - up, 1),
        "download_seconds": round(downloaded - done, 1),
        "output_mb": round(len(content) / 1e6, 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--image-bytes", type=int, default=0, help="add an image of this many bytes to each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="captionq-") as folder:
        path = Path(folder) / "requests.jsonl"
        write_lines(path, options.lines, options.image_bytes)
        size = round(path.stat().st_size / 1e6, 1)
        print(json.dumps({"lines": options.lines, "input_mb": size, **measure(path, options.lines)}, indent=2))


if __name__ == "__main__":
    main()
