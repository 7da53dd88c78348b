"""The rounds: the loop, the floor, the folder, every server with all bursts, and captionq with many requests at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from bench.floor import run_floor
from bench.http.burst import run_burst
from bench.http.cores import on_core
from bench.http.servers import SERVERS, Running, running
from bench.http.usage import usage_of
from cli.benchmark.contest import Run, Task
from cli.benchmark.loop import run_loop
from cli.benchmark.product import run_product
from cli.benchmark.rounds import interleaved
from jobs.errors import BenchmarkError

#: Requests of the sustained run, all sent at once: four full batches.
SUSTAINED = 128
#: Pictures of the loop and of the folder in each round: enough for a rate.
LOOP_PICTURES, FOLDER_PICTURES = 12, 48

#: Figures of one contestant in one round, by the number of requests at a time; the loop and the folder have one entry.
Figures = dict[str, Any]


class Contest:
    """All contestants with one task. The first pictures are those of the bursts, the others those of the sustained run."""

    def __init__(
        self,
        task: Task,
        servers: Sequence[str],
        bursts: Mapping[int, int],
        sustained: int,
        core: int | None,
        folder: Path,
    ) -> None:
        """Prepare; `bursts`: number of requests by the number of requests at a time."""
        self._task = task
        self._servers = servers
        self._bursts = bursts
        self._sustained = sustained
        self._core = core
        self._folder = folder
        self._started = 0
        self._right: Mapping[Path, str | None] = {}

    def run(self, rounds: int) -> list[dict[str, Figures]]:
        """Run everything, and return each round's figures by contestant, without peers that failed. Raises BenchmarkError."""
        _note(-1, "right answers, from the loop")
        with on_core(self._core):
            right = run_loop(self._task, self._folder, same_pixels=False)
        self._right = dict(zip(self._task.images, right.texts, strict=True))
        contestants: dict[str, Callable[[], Figures]] = {
            "loop": lambda: self._in_process(LOOP_PICTURES, self._loop),
            "floor": lambda: self._in_process(LOOP_PICTURES, self._floor),
        }
        for name in self._servers:
            contestants[name] = partial(self._server if name == "captionq" else self._peer, name)
        if self._sustained and "captionq" in self._servers:
            contestants["folder"] = lambda: self._in_process(FOLDER_PICTURES, run_product)
            contestants["sustained"] = self._many
        done = interleaved(contestants, rounds, _note)
        failed = {name for one in done for name, figures in one.items() if not figures}
        return [{name: figures for name, figures in one.items() if name not in failed} for one in done]

    def _loop(self, task: Task) -> Run:
        return run_loop(task, self._folder, same_pixels=False)

    def _floor(self, task: Task) -> Figures:
        return dict(run_floor(task, self._folder))

    def _in_process(self, pictures: int, contestant: Callable[[Task], Run | Figures]) -> Figures:
        """Run a contestant that is no server."""
        with on_core(self._core):
            done = contestant(replace(self._task, images=self._task.images[:pictures]))
        if not isinstance(done, Run):
            return done
        return {
            "images_per_second": done.rate,
            "cpu_seconds": done.cpu_seconds / len(done.texts),
            "rss": done.max_rss,
            "wrong": self._wrong(self._task.images, done.texts),
        }

    def _server(self, name: str) -> Figures:
        """Start a server, and send it all bursts, each about pictures that it has not seen."""
        found: Figures = {}
        with self._warm(name) as server:
            begin = 0
            for at_a_time, count in self._bursts.items():
                pictures = self._task.images[begin : begin + count]
                found[str(at_a_time)] = self._burst(server, pictures, at_a_time)
                begin += count
        return found

    def _peer(self, name: str) -> Figures:
        """Measure another server. If it fails, the others go on, and nothing is returned."""
        try:
            return self._server(name)
        except (BenchmarkError, httpx2.HTTPError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            return {}

    def _many(self) -> Figures:
        """Send captionq all requests of the sustained run at once."""
        with self._warm("captionq") as server:
            return {str(self._sustained): self._burst(server, self._task.images[-self._sustained :], self._sustained)}

    @contextmanager
    def _warm(self, name: str) -> Iterator[Running]:
        self._started += 1
        with running(SERVERS[name], self._task, self._folder / f"{self._started:03}-{name}", self._core) as server:
            run_burst(server.url, server.model, self._task, self._task.warm_up, 2)
            yield server

    def _burst(self, server: Running, pictures: Sequence[Path], at_a_time: int) -> Figures:
        with usage_of(server.process.pid) as usage:
            burst = run_burst(server.url, server.model, self._task, pictures, at_a_time)
        return {
            **burst.as_json(),
            "cpu_seconds": usage.cpu_seconds / len(pictures),
            "rss": usage.rss,
            "wrong": self._wrong(pictures, [one.text for one in burst.answers]),
        }

    def _wrong(self, pictures: Sequence[Path], texts: Sequence[str | None]) -> int:
        return sum(self._right[picture] != text for picture, text in zip(pictures, texts, strict=False))


def _note(number: int, name: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} round {number + 1}: {name} …", file=sys.stderr, flush=True)
