"""What is asked of every contestant, and what each of them gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """The same work for all."""

    model: str
    prompt: str
    max_tokens: int
    images: tuple[Path, ...]
    #: Asked about before the clock starts, so that no contestant is measured while it loads or compiles.
    warm_up: tuple[Path, ...]
    #: Environment variables of the contestants: `CAPTIONQ_*`, `OMP_NUM_THREADS`, `LD_PRELOAD` …
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One contestant, once."""

    #: From the first picture (the loop) or the submission (captionq) to the last answer.
    seconds: float
    #: CPU seconds of the process that holds the model, in that time.
    cpu_seconds: float
    #: An answer an image, in order; None where there is none.
    texts: tuple[str | None, ...]
    #: Generated tokens of all answers: contestants that did the same work have the same number.
    tokens: int
    #: Bytes that mlx held at most, and bytes of that process that were resident at most.
    peak_memory: int
    max_rss: int
    #: Share of `seconds` in which the worker was not in its engine, and where it was then, by file; captionq only.
    outside: float | None = None
    outside_by_file: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Images a second."""
        return len(self.texts) / self.seconds

    def as_json(self, *, texts: bool = False) -> dict[str, object]:
        """Raw values for the record; the texts only when they are wanted."""
        row = {**asdict(self), "images_per_second": self.rate}
        if not texts:
            del row["texts"]
        return row


def wrong_rows(run: Run, expected: Run) -> list[int]:
    """The images for which a contestant's answer is not the one that is expected."""
    pairs = zip(run.texts, expected.texts, strict=True)
    return [number for number, (got, wanted) in enumerate(pairs) if got is None or got != wanted]
