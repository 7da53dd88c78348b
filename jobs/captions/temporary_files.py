"""Temporary files beside texts. Their names tell which worker made them, and files of killed workers are removed."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from jobs.captions.output_names import is_text_name

logger = logging.getLogger("captionq.outputs")

#: Seconds after which no worker still writes a temporary file. A worker that was frozen for longer fails, and tries again.
STALE_AFTER = 120.0
_NAME = re.compile(r"\.captionq-[0-9a-f]{8}-[0-9a-f]{8}\.tmp")
#: The first version's names: `.photo.txt.1a2b3c4d.tmp`.
_FIRST_NAME = re.compile(r"\.(?P<text>.+)\.[0-9a-f]{8}\.tmp")


def temporary_name(writer: str) -> str:
    """Make a new name, short enough for every file system. `writer` is the worker's name."""
    return f".captionq-{_tag(writer)}-{secrets.token_hex(4)}.tmp"


def sweep_stale(folder: Path, names: Iterable[str]) -> int:
    """Remove the temporary files among the names of a folder that no worker can still be writing. Returns how many."""
    return sum(
        _remove(folder / name)
        for name in names
        if name.startswith(".") and _is_temporary(name) and _is_stale(folder / name)
    )


def sweep_own(folders: Iterable[Path], writer: str) -> int:
    """Remove the temporary files that the last worker of this name left, of any age. Returns how many.

    To be called by the worker that holds the name now, before it writes.
    """
    pattern = f".captionq-{_tag(writer)}-*.tmp"
    return sum(_remove(path) for folder in folders for path in folder.glob(pattern) if _NAME.fullmatch(path.name))


def _is_temporary(name: str) -> bool:
    first = _FIRST_NAME.fullmatch(name)
    # Other programs may use the first form of names: a file is captionq's if the name in it is a text's.
    return _NAME.fullmatch(name) is not None or (first is not None and is_text_name(first["text"]))


def _is_stale(path: Path) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - STALE_AFTER
    except OSError:
        return False


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:
        # In a read-only folder the file does no harm.
        logger.info("A temporary file stays: %s", error)
        return False
    return True


def _tag(writer: str) -> str:
    return hashlib.sha256(writer.encode()).hexdigest()[:8]
