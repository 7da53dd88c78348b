"""The task of every contestant, and the result of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cli.benchmark.stage_totals import Stages


@dataclass(frozen=True)
class Task:
    """The work, the same for all contestants."""

    model: str
    prompt: str
    max_tokens: int
    images: tuple[Path, ...]
    #: Pictures asked about before the clock starts, so that no contestant is measured while it loads or compiles.
    warm_up: tuple[Path, ...]
    #: Environment variables of the contestants: `CAPTIONQ_*`, `OMP_NUM_THREADS`, `LD_PRELOAD` …
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The result of one run of a contestant."""

    #: Seconds from the first picture (the loop) or the submission (captionq) to the last answer.
    seconds: float
    #: CPU seconds of the process that holds the model, in that time.
    cpu_seconds: float
    #: An answer for each image, in order; None if the image has no answer.
    texts: tuple[str | None, ...]
    #: Generated tokens of all answers: contestants that did the same work have the same number.
    tokens: int
    #: Peak bytes that mlx held, and peak resident bytes of that process.
    peak_memory: int
    max_rss: int
    #: Share of `seconds` that the worker spent outside its engine, in all and by file; captionq only.
    outside: float | None = None
    outside_by_file: Mapping[str, float] = field(default_factory=dict)
    #: The device's seconds by stage, and the seconds in which threads decoded pictures; captionq only.
    stages: Stages = field(default_factory=dict)
    preprocess_seconds: float | None = None

    @property
    def rate(self) -> float:
        """Images per second."""
        return len(self.texts) / self.seconds

    def as_json(self, *, texts: bool = False) -> dict[str, object]:
        """Return the raw values for the record, with the texts if `texts` is set."""
        row = {**asdict(self), "images_per_second": self.rate}
        if not texts:
            del row["texts"]
        return row


def wrong_rows(run: Run, expected: Run) -> list[int]:
    """Return the numbers of the images whose answer is not the expected one."""
    pairs = zip(run.texts, expected.texts, strict=True)
    return [number for number, (got, wanted) in enumerate(pairs) if got is None or got != wanted]
