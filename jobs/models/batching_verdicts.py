"""Verdicts of the batching check, kept in the data folder: the worker writes them, all floors read them."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.configuration.settings import Settings

#: The version of the batching check: verdicts of an older version do not count.
CHECK_VERSION = 3


class Batching(StrEnum):
    """The batching that a model's sequences allow without changing each other's answers."""

    TOGETHER = "together"  #: prompts are prefilled together, and decode together
    ONE_BY_ONE = "one by one"  #: prompts are prefilled one at a time, and decode together
    ALONE = "alone"  #: one sequence at a time: batched together, sequences of this model change each other's answers
    REFUSED = "refused"  #: not at all: even a single sequence gives other logits than the library computes


@dataclass(frozen=True)
class BatchingVerdict:
    """The result of the batching check of one model."""

    batching: Batching
    #: The difference between a sequence's logits and the library's own, as a share of their spread: with this batching, and with
    #: the next one, which was refused.
    difference: float = 0.0
    refused: float | None = None
    #: The error that ended the check, if the logits were not the reason.
    reason: str | None = None
    #: Whether the next check may end otherwise: another program held the memory.
    passing: bool = False
    #: Whether prompts have to be prefilled in one go: prefilled in parts, they give other logits.
    whole_prompts: bool = False
    #: Whether a request may have only one image: the model cannot take two.
    one_image: bool = False
    #: Sequences of a full batch during the check.
    slots: int = 0

    @property
    def explained(self) -> str:
        """Say in brackets why there is no better batching, to be put after the verdict."""
        if self.reason is not None:
            return f" (larger batches could not be checked: {self.reason})"
        if self.batching is Batching.REFUSED:
            return ""
        if self.refused == float("inf"):
            return " (in larger batches the logits of a sequence were not numbers)"
        if self.refused is not None:
            return f" (in larger batches the logits of a sequence were off by {self.refused:.0%} of their spread)"
        if self.batching is Batching.ALONE:
            return " (the caches of its layers cannot be joined for several sequences)"
        return ""


def key_of(*folders: Path) -> str:
    """Return the key of a model's verdict, made of the model's files, the libraries that run it, and the kind of machine.

    `folders`: of the model, and of its adapter if it has one.
    """
    files = [
        file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in (".json", ".safetensors")
    ]
    found = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    libraries = [f"{name} {_version(name)}" for name in ("captionq", "mlx", "mlx-vlm", "mlx-lm")]
    known = repr((CHECK_VERSION, found, libraries))
    return f"{hashlib.sha256(known.encode()).hexdigest()[:16]} {sys.platform}"


def model_key(settings: Settings, *folders: Path) -> str:
    """Return the key of a model as these settings compute it; see `key_of`."""
    return f"{key_of(*folders)}{' half' if settings.half_precision_vision else ''}"


@cache
def _version(package: str) -> str:
    """Return an installed version; empty for the worker's libraries if only the API is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def read_verdicts(settings: Settings) -> dict[str, BatchingVerdict]:
    """Read all verdicts, by key; none if the file cannot be read."""
    try:
        entries = json.loads(_path(settings).read_text())
        return {
            key: BatchingVerdict(**{**entry, "batching": Batching(entry["batching"])}) for key, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def remember(settings: Settings, key: str, verdict: BatchingVerdict) -> None:
    """Add a verdict. Raises OSError."""
    entries = {known: asdict(one) for known, one in read_verdicts(settings).items()} | {key: asdict(verdict)}
    with tempfile.NamedTemporaryFile("w", dir=settings.data_dir, delete=False) as file:
        json.dump(entries, file, indent=1)
    Path(file.name).replace(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.data_dir / "verdicts.json"
