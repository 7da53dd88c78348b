"""Temporary files beside texts: their names tell whose they are, and those of killed workers are removed."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from jobs.output_names import is_text_name

logger = logging.getLogger("captionq.outputs")

#: Seconds after which no worker still writes a temporary file. One that was frozen for longer fails, and tries again.
STALE_AFTER = 120.0
_NAME = re.compile(r"\.captionq-(?P<writer>[0-9a-f]{8})-[0-9a-f]{8}\.tmp")
#: What the first version wrote: `.photo.txt.1a2b3c4d.tmp`.
_FIRST_NAME = re.compile(r"\.(?P<text>.+)\.[0-9a-f]{8}\.tmp")


def temporary_name(writer: str) -> str:
    """A new name, short enough for every file system. `writer` is the worker's name."""
    return f".captionq-{_tag(writer)}-{secrets.token_hex(4)}.tmp"


def sweep_stale(folder: Path, names: Iterable[str]) -> int:
    """Remove the temporary files among the names that no worker can still be writing. Returns how many."""
    return _remove(path for path in _temporaries(folder, names) if path.lstat().st_mtime < time.time() - STALE_AFTER)


def sweep_own(folders: Iterable[Path], writer: str) -> int:
    """Remove the temporary files that a worker of this name left, of any age: to be called by the one that holds the name now."""
    names = f".captionq-{_tag(writer)}-*.tmp"
    return _remove(path for folder in folders for path in folder.glob(names) if _NAME.fullmatch(path.name))


def _temporaries(folder: Path, names: Iterable[str]) -> Iterable[Path]:
    listed = frozenset(names)
    for name in listed:
        first = _FIRST_NAME.fullmatch(name)
        # Other programs may use the first form of names: it is captionq's where the name in it is a text's.
        if _NAME.fullmatch(name) or (first is not None and is_text_name(first["text"])):
            yield folder / name


def _remove(paths: Iterable[Path]) -> int:
    removed = 0
    try:
        for path in paths:
            path.unlink(missing_ok=True)
            removed += 1
    except OSError as error:
        # A folder that may not be written to: its files harm nobody.
        logger.info("A temporary file stays: %s", error)
    return removed


def _tag(writer: str) -> str:
    return hashlib.sha256(writer.encode()).hexdigest()[:8]
