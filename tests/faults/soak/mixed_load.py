"""Clients of every kind at once. Each waits for its own work, so that the queue stays as long however long the run is."""

from __future__ import annotations

import base64
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.acceptance.test_chat import png
from tests.faults.chaos.clients import Ask, Clients, draw_by_chance
from tests.faults.history import History
from tests.support.processes import Captionq
from tests.support.scenes import Drawn
from tests.support.serving import events_of

#: Seconds that a client waits for an answer. Nothing fails in this run, so only a hang takes as long.
TIMEOUT = 120.0
#: Seconds from the beginning of a client's action to that of its next one, on average, and for those that wait for much work.
#: An action takes less even while other programs slow the machine, so the load stays the same: what captionq keeps for minutes
#: would follow it otherwise.
PERIOD = 2.5
LONG_PERIOD = 10.0
ENDED = {"succeeded", "failed", "cancelled", "completed", "ended", "expired"}
_HTML = {"Accept": "text/html"}


@dataclass(frozen=True)
class Took:
    """One answer: its kind, when its request began (monotonic seconds), and the seconds until it was there."""

    kind: str
    at: float
    seconds: float


class MixedLoad(Clients):
    """Threads for chats in all dialects, streams, jobs, batches, folders, and a visitor of the pages."""

    timeout = TIMEOUT
    pause = 0.0

    def __init__(self, url: str, hook: str, history: History, seed: int) -> None:
        """Begin. The server runs the demo model."""
        self.took: list[Took] = []
        #: Number of finished actions of each kind.
        self.done: Counter[str] = Counter()
        super().__init__(url, hook, "demo", history, seed)

    def kinds(self) -> list[Ask]:
        return [
            self._counted("chat", self._chat),
            self._counted("chat", self._chat),
            self._counted("stream", self._stream),
            self._counted("other dialect", self._dialect),
            self._counted("job", self._job),
            self._counted("batch", self._batch, LONG_PERIOD),
            self._counted("folder", self._folder, LONG_PERIOD),
            self._counted("page", self._visit),
        ]

    def _counted(self, name: str, ask: Ask, period: float = PERIOD) -> Ask:
        def count(client: httpx2.Client, key: str, dice: random.Random) -> None:
            end = time.monotonic() + period * dice.uniform(0.5, 1.5)
            ask(client, key, dice)
            self.done[name] += 1
            self._stopping.wait(max(0.0, end - time.monotonic()))

        return count

    def _request(self, client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response:
        began = time.monotonic()
        answer = client.request(method, path, **request)
        self.took.append(Took(_kind(path), began, time.monotonic() - began))
        return answer

    def _stream(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Read an answer as it grows; every third client goes away in the middle of it."""
        drawn, leaves = draw_by_chance(dice), dice.random() < 1 / 3
        body = {**self._about(drawn), "stream": True}
        began, text = time.monotonic(), ""
        with suppress(httpx2.TransportError), client.stream("POST", "/v1/chat/completions", json=body) as response:
            for event in events_of(response.iter_lines()):
                if event["data"] == "[DONE]":
                    break
                choices = event["data"]["choices"]
                piece = (choices[0]["delta"].get("content") or "") if choices else ""
                if piece and not text:
                    self.took.append(Took("first text of a stream", began, time.monotonic() - began))
                text += piece
                if text and leaves:
                    return
            if text != drawn.caption:
                self._history.wrong.append(f"{text!r} is not the caption {drawn.caption!r}")
            return
        self._history.refusals["a broken stream"] += 1

    def _dialect(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Ask in the words of Ollama, Anthropic or OpenAI's Responses."""
        drawn = draw_by_chance(dice)
        path, body, read = dice.choice(DIALECTS)(drawn)
        answer = self._send(client, path, json=body)
        if answer is not None and (text := read(answer)) != drawn.caption:
            self._history.wrong.append(f"{path}: {text!r} is not the caption {drawn.caption!r}")

    def _visit(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Look at the overview, a run and its pictures, the lists and the metrics."""
        folders = list(self._history.folders)
        paths = ["/", "/start", "/v1/jobs?limit=50", "/metrics", "/v1/workers", "/readyz"]
        if folders:
            run = dice.choice(folders)
            paths += [f"/runs/{run}", f"/v1/folders/{run}/results"]
        for path in paths:
            answer = self._request(client, "GET", path, headers=_HTML if "/v1/" not in path else {})
            if answer.status_code != 200:
                self._history.refusals[f"{_kind(path)} {answer.status_code} {answer.text[:300]}"] += 1

    def _wait_for(self, client: httpx2.Client, path: str) -> None:
        while not self._stopping.is_set():
            answer = self._request(client, "GET", path)
            if answer.status_code == 200 and answer.json()["status"] in ENDED:
                return
            self._stopping.wait(0.5)


def _kind(path: str) -> str:
    """Return the route of a path, without ids."""
    parts = path.partition("?")[0].split("/")
    return "/".join("…" if len(part) > 20 and "_" not in part else part for part in parts)


def _base64(drawn: Drawn) -> str:
    return base64.b64encode(png(drawn)).decode()


_QUESTION = "Describe this image."


def _ollama(drawn: Drawn) -> tuple[str, dict[str, Any], Callable[[Any], str]]:
    message = {"role": "user", "content": _QUESTION, "images": [_base64(drawn)]}
    body = {"model": "demo", "messages": [message], "stream": False, "options": {"num_predict": 64}}
    return "/api/chat", body, lambda answer: str(answer["message"]["content"])


def _anthropic(drawn: Drawn) -> tuple[str, dict[str, Any], Callable[[Any], str]]:
    source = {"type": "base64", "media_type": "image/png", "data": _base64(drawn)}
    content = [{"type": "image", "source": source}, {"type": "text", "text": _QUESTION}]
    body = {"model": "demo", "max_tokens": 64, "messages": [{"role": "user", "content": content}]}
    return "/v1/messages", body, lambda answer: str(answer["content"][0]["text"])


def _responses(drawn: Drawn) -> tuple[str, dict[str, Any], Callable[[Any], str]]:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{_base64(drawn)}"}
    content = [image, {"type": "input_text", "text": _QUESTION}]
    body = {"model": "demo", "max_output_tokens": 64, "input": [{"role": "user", "content": content}]}
    return "/v1/responses", body, lambda answer: str(answer["output"][-1]["content"][0]["text"])


#: From a picture to a path, a body, and a function that reads the text of its answer.
DIALECTS = (_ollama, _anthropic, _responses)


class RepeatedCommand:
    """`captionq caption` on one folder, beside the server; its texts are removed after each run."""

    def __init__(self, captionq: Captionq, captions: dict[Path, str], history: History, pause: float) -> None:
        """Begin. `pause`: seconds between two runs."""
        self._captionq, self._captions, self._history, self._pause = captionq, captions, history, pause
        self.runs = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Let the last run end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        folder = next(iter(self._captions)).parent
        while not self._stopping.is_set():
            command = [self._captionq.script, "caption", str(folder), "--no-cache"]
            done = subprocess.run(
                command, env=self._captionq.environment, stdin=subprocess.DEVNULL, capture_output=True
            )
            if done.returncode != 0:
                self._history.wrong.append(f"captionq caption: {done.returncode} {done.stderr.decode()[-500:]}")
                return
            for path, caption in self._captions.items():
                text = path.with_suffix(".txt")
                if text.read_text().strip() != caption:
                    self._history.wrong.append(f"{text.name}: {text.read_text()!r} is not {caption!r}")
                text.unlink()
            self.runs += 1
            self._stopping.wait(self._pause)
