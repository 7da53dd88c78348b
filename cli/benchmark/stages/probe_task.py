"""The probe's task and findings, and the process that runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from cli.benchmark import contest
from cli.benchmark.processes import ended, start
from cli.benchmark.stage_totals import Stages

_CODE = "from cli.benchmark.stages.probe import main; main()"
#: Pictures that the probe asks about.
PROBED = 16


class Task(TypedDict):
    """The task, as JSON."""

    model: str
    prompt: str
    max_tokens: int
    images: list[str]
    warm_up: list[str]
    #: Whether to measure half the pixels, single prompts and smaller batches also.
    variations: bool


class Measured(TypedDict):
    """One way of answering about all images."""

    images: int
    seconds: float
    stages: Stages


class Findings(TypedDict):
    """What the probe measured, as JSON."""

    #: Whether mlx computes on Metal.
    metal: bool
    batching: str
    slots: int
    group: int
    max_pixels: int
    #: Seconds for the first pictures after the model was loaded.
    first_seconds: float
    #: Peak bytes that mlx held.
    peak_memory: int
    #: Ids of the answers, in the order of the images.
    answers: list[list[int]]
    as_set: Measured
    #: With half of `max_pixels`, and with one prompt a group; None: not measured.
    half_pixels: Measured | None
    single: Measured | None
    #: Seconds of a decode step by the number of sequences.
    step_seconds: dict[str, float]


def run_probe(task: contest.Task, *, variations: bool, environment: Mapping[str, str] | None = None) -> Findings:
    """Run the probe in a process and a data folder of its own. Raises BenchmarkError.

    Args:
        task: The model, the question and the pictures, of which the first `PROBED` are used.
        variations: Whether to measure half the pixels, single prompts and smaller batches also.
        environment: More settings.
    """
    wanted = Task(
        model=task.model,
        prompt=task.prompt,
        max_tokens=task.max_tokens,
        images=[str(path) for path in task.images[:PROBED]],
        warm_up=[str(path) for path in task.warm_up],
        variations=variations,
    )
    with TemporaryDirectory(prefix="captionq-bench-") as folder:
        settings = {**task.environment, "CAPTIONQ_DATA_DIR": folder, **(environment or {})}
        log = Path(folder) / "probe.log"
        findings: Findings = json.loads(ended(start(_CODE, environment=settings, log=log), log, json.dumps(wanted)))
    return findings
