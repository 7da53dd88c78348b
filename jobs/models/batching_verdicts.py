"""What was found out about a model's batches, kept in the data folder: the worker writes it, everybody reads it."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from jobs.settings import Settings

#: Of the examination: what an older one has found counts no more.
EXAMINATION = 3


class Batching(StrEnum):
    """How much company the rows of a model can bear."""

    TOGETHER = "together"  #: prompts are prefilled together, and decode together
    ONE_BY_ONE = "one by one"  #: prompts are prefilled one at a time, and decode together
    ALONE = "alone"  #: one row at a time: in company, rows of this model change each other's answers
    REFUSED = "refused"  #: not at all: even by themselves, rows come out otherwise than the library computes them


@dataclass(frozen=True)
class BatchingVerdict:
    """What came of the examination of one model."""

    batching: Batching
    #: By how much a row's logits differed from the library's own, as a share of their spread: at this level of company, and at
    #: the one that was refused.
    difference: float = 0.0
    refused: float | None = None
    #: What went wrong, when it was not the logits: in more company than this, or before there was anything to compare.
    reason: str | None = None
    #: Whether that may be otherwise next time: another program held the memory.
    passing: bool = False
    #: Whether prompts have to be prefilled in one go: in parts they come out differently.
    whole_prompts: bool = False
    #: Whether a request may have one image at most: the model cannot take two.
    one_image: bool = False
    #: Rows of a full batch when it was tried out.
    slots: int = 0

    @property
    def explained(self) -> str:
        """Why it is no better, to be put after it."""
        if self.reason is not None:
            return f" (more company could not be tried out: {self.reason})"
        if self.batching is Batching.REFUSED:
            return ""
        if self.refused == float("inf"):
            return " (in more company the logits of a row were no numbers)"
        if self.refused is not None:
            return f" (in more company the logits of a row were off by {self.refused:.0%} of their spread)"
        if self.batching is Batching.ALONE:
            return " (what its layers remember of several rows cannot be joined)"
        return ""


def key_of(model: Path) -> str:
    """What a verdict hangs on: the model's files, the libraries that run it, and the kind of machine."""
    files = sorted(file for file in model.iterdir() if file.suffix in (".json", ".safetensors"))
    found = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    libraries = [f"{name} {version(name)}" for name in ("captionq", "mlx", "mlx-vlm", "mlx-lm")]
    known = repr((EXAMINATION, found, libraries))
    return f"{hashlib.sha256(known.encode()).hexdigest()[:16]} {sys.platform}"


def read_verdicts(settings: Settings) -> dict[str, BatchingVerdict]:
    """All that is known, by key. Nothing is known where the file cannot be read."""
    try:
        entries = json.loads(_path(settings).read_text())
        return {
            key: BatchingVerdict(**{**entry, "batching": Batching(entry["batching"])}) for key, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def remember(settings: Settings, key: str, verdict: BatchingVerdict) -> None:
    """Add what was found out. Raises OSError."""
    entries = {known: asdict(one) for known, one in read_verdicts(settings).items()} | {key: asdict(verdict)}
    with tempfile.NamedTemporaryFile("w", dir=settings.data_dir, delete=False) as file:
        json.dump(entries, file, indent=1)
    Path(file.name).replace(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.data_dir / "verdicts.json"
