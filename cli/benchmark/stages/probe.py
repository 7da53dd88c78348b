"""The probe: the engine by itself, in a process of its own, with the user's model on the user's machine.

Reads a task as JSON from standard input and writes what it measured as JSON to standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import mlx.core as mx

from cli.benchmark.stack_sampler import peak_memory
from cli.benchmark.stage_totals import Stages, between
from cli.benchmark.stages.probe_task import Findings, Measured, Task
from jobs.configuration.read_settings import read_settings
from jobs.configuration.settings import Settings
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from worker.engine.engine import Engine
from worker.models.inputs import Prepared
from worker.models.library_imports import limit_buffers
from worker.pipeline.resident_models import ResidentModel, ResidentModels
from worker.pixels.decode import decode, with_max_pixels

#: Tokens of an answer that are enough to time a decode step.
_STEP_TOKENS = 16
#: The picture's place in a request; its pixels travel beside it.
_PICTURE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


def main() -> None:
    """Read the task, measure, write the findings."""
    task: Task = json.load(sys.stdin)
    settings = read_settings()
    limit_buffers(settings)
    # Libraries print to standard output, which is for the findings here.
    with contextlib.redirect_stdout(sys.stderr):
        findings = measure(task, settings.model_copy(update={"feature_cache": None}))
    json.dump(findings, sys.stdout)


def measure(task: Task, settings: Settings) -> Findings:
    """Load the model and measure. Raises ModelError, ImageError."""
    settings.make_folders()
    models = ResidentModels(settings)
    probe = _Probe(task, settings, models.get(task["model"]))
    as_set, answers = probe.run(settings.max_pixels, probe.group)
    half = probe.run(settings.max_pixels // 2, probe.group)[0] if task["variations"] else None
    single = probe.run(settings.max_pixels, 1)[0] if task["variations"] and probe.group > 1 else None
    findings = Findings(
        metal=mx.metal.is_available(),
        batching=str(probe.resident.batching),
        slots=probe.slots,
        group=probe.group,
        max_pixels=settings.max_pixels,
        first_seconds=probe.first_seconds,
        peak_memory=peak_memory(),
        answers=answers,
        as_set=as_set,
        half_pixels=half,
        single=single,
        step_seconds=probe.step_seconds() if task["variations"] else {},
    )
    models.close()
    return findings


class _Probe:
    """A loaded model, and fresh engines over it."""

    def __init__(self, task: Task, settings: Settings, resident: ResidentModel) -> None:
        self._task = task
        self._settings = settings
        self.resident = resident
        self.slots = resident.engine.slots
        self.group = resident.engine.group
        self._warm_up = self._prepared(task["warm_up"], settings.max_pixels)
        begun = time.perf_counter()
        _answer(resident.engine, self._warm_up)
        self.first_seconds = time.perf_counter() - begun

    def run(self, max_pixels: int, group: int) -> tuple[Measured, list[list[int]]]:
        """Answer about all images with a warm engine; return what it took, and the ids of the answers."""
        prepared = self._prepared(self._task["images"], max_pixels)
        engine = Engine(self.resident.engine.backend, self.slots, group)
        # The engine learns its speed, and the prompts' common beginning.
        _answer(engine, self._warm_up)
        engine.backend.forget()
        before, begun = _stages(engine), time.perf_counter()
        answers = _answer(engine, prepared)
        seconds = time.perf_counter() - begun
        stages = between(before, _stages(engine))
        engine.close()
        return Measured(images=len(prepared), seconds=seconds, stages=stages), answers

    def step_seconds(self) -> dict[str, float]:
        """Time decode steps of 1, 2, 4 … sequences, all of one picture, which is encoded once."""
        first = self._warm_up[0]
        prepared = replace(first, sampling=first.sampling.model_copy(update={"max_tokens": _STEP_TOKENS}))
        found: dict[str, float] = {}
        for sequences in [2**power for power in range(self.slots.bit_length()) if 2**power < self.slots] + [self.slots]:
            engine = Engine(self.resident.engine.backend, sequences, self.group)
            _answer(engine, [prepared] * sequences)
            decode = _stages(engine)["decode"]
            found[str(sequences)] = decode["seconds"] / max(1.0, decode["units"])
            engine.close()
        return found

    def _prepared(self, paths: Sequence[str], max_pixels: int) -> list[Prepared]:
        content = [_PICTURE, TextPart(text=self._task["prompt"])]
        messages = [Message(role="user", content=content)]
        sampling = Sampling(max_tokens=self._task["max_tokens"])
        request = Request(model=self._task["model"], messages=messages, sampling=sampling)
        limits = with_max_pixels(self._settings, max_pixels)
        return [self.resident.engine.backend.prepare(request, [decode(Path(path), limits)]) for path in paths]


def _answer(engine: Engine, prepared: Sequence[Prepared]) -> list[list[int]]:
    """Answer about all images, as many at a time as the engine has room for. Raises the error of a request that failed."""
    waiting = list(enumerate(prepared))
    ids: dict[str, list[int]] = {}
    while waiting or engine.busy:
        while waiting and engine.free > 0:
            number, one = waiting.pop(0)
            engine.admit(str(number), one)
        for outcome in engine.step(coming=bool(waiting)):
            ids[outcome.key] = list(outcome.token_ids) if outcome.answer else []
    return [ids[str(number)] for number in range(len(prepared))]


def _stages(engine: Engine) -> Stages:
    return {str(stage): asdict(totals) for stage, totals in engine.clock.totals.items()}  # type: ignore[misc]
