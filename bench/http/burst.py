"""A burst of streamed chat completions, at most some of them at a time, and when each piece of each answer came."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from cli.benchmark.contest import Task

#: Most seconds of an answer.
PATIENCE = 900.0


@dataclass(frozen=True)
class Answer:
    """A streamed answer: its text, and the seconds from the request to each of its pieces and to its end."""

    text: str
    pieces: tuple[float, ...]
    end: float

    @property
    def pauses(self) -> list[float]:
        """Seconds between two pieces."""
        return [after - before for before, after in zip(self.pieces, self.pieces[1:], strict=False)]


@dataclass(frozen=True)
class Burst:
    """The answers to a burst, in the order of its pictures, and the seconds from the first request to the last answer."""

    answers: tuple[Answer, ...]
    seconds: float

    def as_json(self) -> dict[str, float]:
        """Return throughput (images/s) and percentiles in seconds."""
        return {
            "images_per_second": len(self.answers) / self.seconds,
            **_percentiles("first_token", [(one.pieces or (one.end,))[0] for one in self.answers]),
            **_percentiles("completion", [one.end for one in self.answers]),
            **_percentiles("pause", [pause for one in self.answers for pause in one.pauses]),
            "mean_completion": statistics.mean(one.end for one in self.answers),
        }


def run_burst(url: str, model: str, task: Task, pictures: Sequence[Path], at_a_time: int) -> Burst:
    """Ask about each picture, with `at_a_time` requests open at once. Raises httpx2.HTTPError."""
    bodies = [body_about(picture, model, task) for picture in pictures]
    return asyncio.run(_ask_all(url, bodies, at_a_time))


def body_about(picture: Path, model: str, task: Task) -> bytes:
    """Return the body of a request, with the picture in a data address and before the question, as in the loop."""
    data = base64.b64encode(picture.read_bytes()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
        {"type": "text", "text": task.prompt},
    ]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "stream": True}
    return json.dumps({**body, "max_tokens": task.max_tokens, "temperature": 0}).encode()


async def _ask_all(url: str, bodies: Sequence[bytes], at_a_time: int) -> Burst:
    turns = asyncio.Semaphore(at_a_time)
    limits = httpx2.Limits(max_connections=at_a_time)
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False) as client:

        async def ask(body: bytes) -> Answer:
            async with turns:
                return await _stream(client, body)

        begun = time.perf_counter()
        answers = await asyncio.gather(*map(ask, bodies))
        return Burst(tuple(answers), time.perf_counter() - begun)


async def _stream(client: httpx2.AsyncClient, body: bytes) -> Answer:
    begun = time.perf_counter()
    times: list[float] = []
    texts: list[str] = []
    headers = {"content-type": "application/json"}
    async with client.stream("POST", "/v1/chat/completions", content=body, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {") and (text := _text(json.loads(line.removeprefix("data: ")))):
                times.append(time.perf_counter() - begun)
                texts.append(text)
    return Answer("".join(texts).strip(), tuple(times), time.perf_counter() - begun)


def _text(chunk: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    if len(seconds) < 2:
        seconds = [*seconds, *seconds] or [0.0, 0.0]
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {f"{name}_p50": cuts[9], f"{name}_p95": cuts[18]}
