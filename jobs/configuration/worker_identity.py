"""The name of a data folder's worker: kept in a file, the same at every start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.configuration.settings import Settings


def name_file(settings: Settings) -> Path:
    """Return the file that keeps the name."""
    return settings.data_dir / "worker.name"


def kept_name(settings: Settings) -> str | None:
    """Return the name; None: no worker has been started for this data folder."""
    file = name_file(settings)
    return (file.read_text() or None) if file.exists() else None
