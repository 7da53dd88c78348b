"""Local folders as people name them: with a tilde, or from the working directory."""

from __future__ import annotations

import os
from pathlib import Path


def whole_path(path: str | Path) -> Path:
    """Return the absolute path. A shell expands the tilde of an option; that of a configuration file comes as it is."""
    # Not by Path, which raises for the home of an unknown user.
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111


def local_folder(name: str) -> Path | None:
    """Return the whole path of the folder that the name of a model or adapter stands for, which may be an id of Hugging Face.

    None: there is no such folder, or it cannot be looked at.
    """
    folder = whole_path(name)
    # Not by Path, which raises for a name that is too long and for a forbidden folder.
    return folder if name and os.path.isdir(folder) else None  # noqa: PTH112
