"""The record of a walk: files and folders that it met and did not yield."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class LeftOut:
    """Files and folders that a walk for images left out."""

    #: Packages and system folders, which were not entered.
    packages: list[Path] = field(default_factory=list)
    #: Images of which only a placeholder is on this Mac, by their own names.
    in_cloud: list[Path] = field(default_factory=list)
    #: Number of images and folders that a pattern excluded, or that no pattern included.
    excluded: int = 0
    #: Number of images that were last changed too early.
    older: int = 0
    #: Number of videos of Live Photos, and of frames of bursts beside their first.
    of_shots: int = 0
    #: Files that are not images, by extension.
    others: Counter[str] = field(default_factory=Counter)

    def add_other(self, name: str) -> None:
        """Count a file that is not an image."""
        self.others[os.path.splitext(name)[1]] += 1  # noqa: PTH122
