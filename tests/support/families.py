"""The families of vision models that most tests use. `tools/families` builds the tiny models."""

from __future__ import annotations

from pathlib import Path

from tools.families import catalogue
from tools.families.model import save

FAMILIES = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "gemma3",
    "gemma4",
    "smolvlm",
    "lfm2_vl",
    "llava",
    "llava_next",
    "fastvlm",
    "glm4v",
)


def save_model(family: str, folder: Path, seed: int = 0, *, says_vocabulary: bool = True) -> Path:
    """Write a tiny model of the family into the folder.

    `says_vocabulary`: Whether its config has the size of the vocabulary, or leaves it to the library's default.
    """
    return save(catalogue.FAMILIES[family], folder, seed, says_vocabulary=says_vocabulary)
