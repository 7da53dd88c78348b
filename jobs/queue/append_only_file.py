"""The server's append-only file (AOF): set aside when the server cannot read it.

The file is a convenience: the rows of the database are the truth, and `reconcile` queues them again.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

#: The server's own name for the folder that holds the file's pieces.
NAME = "appendonlydir"
#: Number of damaged files that are kept, the newest ones.
KEPT = 3


def set_aside(broker_dir: Path) -> Path | None:
    """Move the file into a new folder `damaged-<time>`, and return that folder.

    Returns None if there is no file, or if permissions forbid to read it.
    """
    file = broker_dir / NAME
    if not os.path.lexists(file) or not _is_accessible(file):
        return None
    aside = broker_dir / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    aside.mkdir(mode=0o700)
    file.rename(aside / NAME)
    return aside


def put_back(broker_dir: Path, aside: Path) -> None:
    """Undo `set_aside` because the file was not the cause. Deletes the file that the server has made since."""
    shutil.rmtree(broker_dir / NAME, ignore_errors=True)
    (aside / NAME).rename(broker_dir / NAME)
    aside.rmdir()


def forget_old_ones(broker_dir: Path) -> None:
    """Delete all files that were set aside except for the newest `KEPT`."""
    for folder in sorted(broker_dir.glob("damaged-*"))[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _is_accessible(file: Path) -> bool:
    pieces = [file, *file.iterdir()] if file.is_dir() else [file]
    return all(os.access(piece, os.R_OK | os.W_OK) for piece in pieces)
