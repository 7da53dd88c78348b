"""The fingerprint of a model whose features are kept: other weights or libraries never read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from jobs.models.batching_verdicts import key_of

#: Pieces of each file of weights that are read, and their bytes. Sizes and times of files alone are not enough: archives and
#: stores of packages give all files the same time, and fine-tuned models have the sizes of the model that they began as.
_PIECES, _PIECE = 64, 4096


def feature_fingerprint(folders: Iterable[Path], computed_as: Iterable[str]) -> str:
    """Return a name for the folder of a model's features.

    Args:
        folders: Of the model, and of its adapter if it has one; in Hugging Face's cache the name of a folder is the revision.
        computed_as: The device and the types of weights that the features are computed with.
    """
    found = list(folders)
    libraries = [f"{name} {version(name)}" for name in ("transformers", "safetensors")]
    digest = hashlib.blake2b(repr((key_of(*found), libraries, sorted(computed_as))).encode(), digest_size=12)
    for folder in found:
        digest.update(folder.resolve().name.encode())
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(_sample(file))
    return digest.hexdigest()


def _sample(file: Path) -> bytes:
    """Return pieces of the file, evenly spread, the first and the last included."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        pieces = []
        for number in range(_PIECES):
            opened.seek(max(0, (size - _PIECE) * number // (_PIECES - 1)))
            pieces.append(opened.read(_PIECE))
    return b"".join(pieces)
