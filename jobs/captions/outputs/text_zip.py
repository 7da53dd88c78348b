"""The captions of a run as text files in a zip, which is written while it is read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jobs.captions.text_files import text_bytes
from jobs.images.stored.safe_names import clean_parts
from jobs.requests import path_of
from jobs.store.tables import Job

#: Bytes of a piece at least.
PIECE = 65_536


class _Pieces:
    """A file that cannot be sought in: the bytes that were written to it since they were taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, content: bytes) -> int:
        self._written += content
        return len(content)

    def flush(self) -> None:
        """Do nothing: the bytes are there."""

    def close(self) -> None:
        """Do nothing: the bytes stay until they are taken."""

    def take(self, least: int = 0) -> bytes:
        """Return the bytes, if there are at least so many."""
        if len(self._written) < least:
            return b""
        taken, self._written = bytes(self._written), bytearray()
        return taken


def zipped_texts(jobs: Iterable[Job], folder: PurePath | None) -> Iterator[bytes]:
    """Yield the zip in pieces. Each picture with a caption has a file of the name that its text has, or would have.

    Args:
        jobs: of a run.
        folder: names are relative to it; None, or for pictures elsewhere: the file's own name.
    """
    pieces = _Pieces()
    now = time.localtime()[:6]
    with ZipFile(pieces, "w", ZIP_DEFLATED) as archive:
        for job in jobs:
            if job.caption is None:
                continue
            entry = ZipInfo(_free_name(_name_of(job, folder), archive), now)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text_bytes(job.caption))
            if piece := pieces.take(PIECE):
                yield piece
    yield pieces.take()


def _name_of(job: Job, folder: PurePath | None) -> str:
    """Return a name without parts that lead out of the folder in which the zip is unpacked."""
    if job.output is not None and job.output.startswith("file:"):
        path = path_of(job.output)
        inside = folder is not None and path.is_relative_to(folder)
        named = str(path.relative_to(folder) if inside and folder is not None else path.name)
    else:
        named = f"{PurePath(job.source or job.id).name if folder is None else job.source or job.id}.txt"
    parts = clean_parts(os.fsencode(named).decode(errors="replace"))
    return "/".join(parts) or f"{job.id}.txt"


def _free_name(name: str, archive: ZipFile) -> str:
    free, number = name, 1
    while free in archive.NameToInfo:
        number += 1
        free = f"{name.removesuffix('.txt')} ({number}).txt"
    return free
