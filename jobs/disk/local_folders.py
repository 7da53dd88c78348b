"""Local folders by the names of models and adapters, which may also be ids of Hugging Face."""

from __future__ import annotations

import os
from pathlib import Path


def local_folder(name: str) -> Path | None:
    """Return the whole path of the folder that a name stands for; None: there is no such folder, or it cannot be looked at."""
    # Not by Path, which raises for a name that is too long, for a forbidden folder and for the home of an unknown user.
    folder = os.path.expanduser(name)  # noqa: PTH111
    return Path(folder).absolute() if os.path.isdir(folder) else None  # noqa: PTH112
