"""Clients that go on whatever happens: a request is sent again, with its key, until it is acknowledged."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import httpx2

from tests.acceptance.test_chat import png
from tests.faults.history import History
from tests.support.scenes import SIZES, Drawn, draw
from tests.support.serving import about, data_uri, events_of

#: Seconds that a client waits for an answer: less than the longest stop of a process.
TIMEOUT = 20.0
#: Answers that ask a client to come back. Everything else that is not a success contradicts what the client knows.
COME_BACK = {409, 429, 500, 502, 503, 504, 507}
#: The number of different pictures.
PICTURES = 200


#: One action of a client: its connection, a key of its own, and its chances.
Ask = Callable[[httpx2.Client, str, random.Random], None]


class Clients:
    """Threads, each with one kind of requests."""

    #: Seconds that a client waits for an answer, and between two requests at most.
    timeout = TIMEOUT
    pause = 0.3

    def __init__(self, url: str, hook: str, model: str, history: History, seed: int) -> None:
        self._url, self._hook, self._model, self._history = url, hook, model, history
        self._seed = seed
        self._stopping = threading.Event()
        kinds = enumerate(self.kinds())
        self._threads = [threading.Thread(target=self._run, args=(number, one)) for number, one in kinds]
        for thread in self._threads:
            thread.start()

    def kinds(self) -> list[Ask]:
        """Return what each thread does."""
        return [self._chat, self._job, self._job, self._batch, self._folder]

    def stop(self) -> None:
        """Let each client get its last acknowledgement, or give up."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, ask: Ask) -> None:
        dice, count = random.Random(f"{self._seed} {number}"), 0
        with httpx2.Client(base_url=self._url, timeout=self.timeout, trust_env=False) as client:
            while not self._stopping.wait(dice.uniform(0.0, self.pause)):
                count += 1
                ask(client, f"{self._seed}-{number}-{count}", dice)

    def _chat(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Wait for an answer; a client that gets none does not send again."""
        drawn = draw_by_chance(dice)
        answer = self._send(client, "/v1/chat/completions", json=self._about(drawn))
        if answer is None:
            return
        text = answer["choices"][0]["message"]["content"]
        if self._caption(drawn) not in (None, text):
            self._history.wrong.append(f"{text!r} is not the caption {drawn.caption!r}")
        self._history.chats += 1

    def _job(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Queue a job, and follow some of them over connections that break."""
        drawn = draw_by_chance(dice)
        body = {**self._about(drawn), "webhook": self._hook}
        if (made := self._until_acknowledged(client, "/v1/jobs", key, json=body)) is None:
            return
        with self._history.lock:
            self._history.jobs[made["id"]] = self._caption(drawn)
        if dice.random() < 0.5:
            events = self._history.streams[made["id"]] = []
            for _ in range(3):
                self._follow(client, made["id"], events, dice.randrange(1, 6))
        self._wait_for(client, f"/v1/jobs/{made['id']}")

    def _batch(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Upload a file of requests, and make a batch of it."""
        pictures = {f"{key} {number}": draw_by_chance(dice) for number in range(dice.randrange(2, 12))}
        lines = [
            {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": self._about(drawn)}
            for name, drawn in pictures.items()
        ]
        content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        files = {"file": ("requests.jsonl", content)}
        file = self._until_acknowledged(client, "/v1/files", f"{key}f", files=files, data={"purpose": "batch"})
        if file is None:
            return
        body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        if (made := self._until_acknowledged(client, "/v1/batches", f"{key}b", json=body)) is not None:
            with self._history.lock:
                self._history.batches[made["id"]] = {name: self._caption(drawn) for name, drawn in pictures.items()}
            self._wait_for(client, f"/v1/batches/{made['id']}")
        self._stopping.wait(1.0)

    def _folder(self, client: httpx2.Client, key: str, dice: random.Random) -> None:
        """Upload the pictures of a folder."""
        pictures = {f"{number}.png": draw_by_chance(dice) for number in range(dice.randrange(2, 8))}
        files = [("files", (name, png(drawn))) for name, drawn in pictures.items()]
        data = {"options": json.dumps({"webhook": self._hook})}
        if (made := self._until_acknowledged(client, "/v1/folders", key, files=files, data=data)) is not None:
            with self._history.lock:
                self._history.folders[made["id"]] = {name: self._caption(drawn) for name, drawn in pictures.items()}
            self._wait_for(client, f"/v1/folders/{made['id']}")
        self._stopping.wait(1.0)

    def _wait_for(self, client: httpx2.Client, path: str) -> None:
        """Wait for the end of acknowledged work. These clients go on at once."""

    def _follow(self, client: httpx2.Client, job_id: str, events: list[dict[str, Any]], most: int) -> None:
        """Follow a job for some events, from where the last connection broke."""
        after = {"Last-Event-ID": events[-1]["id"]} if events else {}
        try:
            with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=after) as response:
                if response.status_code != 200:
                    return
                for event in events_of(response.iter_lines()):
                    if "id" in event:
                        events.append(event)
                    most -= 1
                    if most == 0 or self._stopping.is_set():
                        return
        except httpx2.TransportError:
            self._history.refusals["a broken stream"] += 1

    def _until_acknowledged(self, client: httpx2.Client, path: str, key: str, **request: Any) -> dict[str, Any] | None:
        """Send a request until it is acknowledged. None: the run is over, and the request may have been taken or not."""
        while not self._stopping.is_set():
            if (answer := self._send(client, path, headers={"Idempotency-Key": key}, **request)) is not None:
                return answer
            self._stopping.wait(0.2)
        return None

    def _send(self, client: httpx2.Client, path: str, **request: Any) -> dict[str, Any] | None:
        try:
            answer = self._request(client, "POST", path, **request)
        except httpx2.TransportError as error:
            self._history.refusals[type(error).__name__] += 1
            return None
        if answer.status_code in (200, 201):
            found: dict[str, Any] = answer.json()
            return found
        self._history.refusals[f"{path} {answer.status_code}"] += 1
        if answer.status_code not in COME_BACK:
            self._history.wrong.append(f"{path} {answer.status_code}: {answer.text}")
        return None

    def _request(self, client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response:
        return client.request(method, path, **request)

    def _about(self, drawn: Drawn) -> dict[str, Any]:
        return {**about(data_uri(png(drawn))), "model": self._model}

    def _caption(self, drawn: Drawn) -> str | None:
        return None if self._model == "stub" else drawn.caption


def draw_by_chance(dice: random.Random) -> Drawn:
    """Draw one of the pictures."""
    seed = dice.randrange(PICTURES)
    # As in `draw_many`: the demo model captions these correctly.
    return draw(seed, SIZES[seed % len(SIZES)])
