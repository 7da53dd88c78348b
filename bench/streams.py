"""Many streams at once: the number of lost and mixed-up answers, and the times to the first text, as JSON.

    python -m bench.streams [--streams 200] [--rounds 3]

On Linux with LD_PRELOAD=LIBRARY OMP_NUM_THREADS=1 before it: see README.md.

Starts `captionq serve` with the built-in model in a data folder of its own. All requests are sent at the same moment, each about
a picture of its own, and some one at a time, for comparison. Seconds are the client's, on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from jobs.configuration.settings import Settings
from tests.support.processes import SCRIPT
from tests.support.scenes import Drawn, draw_many
from tests.support.serving import about, data_uri, serving

#: Most seconds of a stream.
PATIENCE = 600.0
#: Requests that are sent one at a time.
ALONE = 20


@dataclass(frozen=True)
class Answer:
    """The answer of one stream: its text, and the seconds until its first and last piece."""

    text: str
    first: float
    last: float


async def ask_all(url: str, pictures: list[Drawn], *, at_a_time: int) -> list[Answer]:
    """Return the answer about each picture, with `at_a_time` streams open at once."""
    bodies = [about(_uri(drawn), stream=True) for drawn in pictures]
    limits = httpx2.Limits(max_connections=at_a_time)
    turns = asyncio.Semaphore(at_a_time)
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False) as client:

        async def ask(body: dict[str, object]) -> Answer:
            async with turns:
                return await _stream(client, body)

        return await asyncio.gather(*map(ask, bodies))


async def _stream(client: httpx2.AsyncClient, body: dict[str, object]) -> Answer:
    begun, first, pieces = time.perf_counter(), None, []
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                if text := choice["delta"].get("content"):
                    first = first or time.perf_counter()
                    pieces.append(text)
    return Answer("".join(pieces), (first or time.perf_counter()) - begun, time.perf_counter() - begun)


def _uri(drawn: Drawn) -> str:
    file = io.BytesIO()
    drawn.image.save(file, "PNG")
    return data_uri(file.getvalue())


def measure(streams: int, rounds: int) -> dict[str, object]:
    """Return medians over the rounds, and the number of `wrong` and `lost` answers of all rounds."""
    pictures = draw_many(streams)
    wrong = lost = 0
    firsts: dict[str, list[float]] = {"alone": [], "p50": [], "p95": [], "all": []}
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        settings.make_folders()
        with serving(settings, script=str(SCRIPT)) as served:
            asyncio.run(ask_all(served.url, pictures[:4], at_a_time=1))
            for _ in range(rounds):
                alone = asyncio.run(ask_all(served.url, pictures[:ALONE], at_a_time=1))
                answers = asyncio.run(ask_all(served.url, pictures, at_a_time=streams))
                firsts["all"].append(max(answer.last for answer in answers))
                lost += sum(not answer.text for answer in answers)
                wrong += sum(
                    answer.text != drawn.caption for answer, drawn in zip(answers, pictures, strict=True) if answer.text
                )
                waits = statistics.quantiles([answer.first for answer in answers], n=20)
                firsts["alone"].append(statistics.median(answer.first for answer in alone))
                firsts["p50"].append(waits[9])
                firsts["p95"].append(waits[18])
    seconds = {name: round(statistics.median(values), 3) for name, values in firsts.items()}
    return {"streams": streams, "rounds": rounds, "wrong": wrong, "lost": lost, "first_token_seconds": seconds}


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(measure(given.streams, given.rounds), indent=1))


if __name__ == "__main__":
    main()
