"""The output of `captionq batch run`: lines of results, added to those that an earlier run of the same file wrote."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from jobs.errors import InvalidRequestError
from jobs.file_locks import try_lock


class BatchOutput:
    """A file of results that grows. What is in it stays, but for a last line that a kill has cut off."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        #: Digests of the `custom_id` of each line that has its answer.
        self._answered: set[bytes] = set()
        self._read()

    def __len__(self) -> int:
        return len(self._answered)

    def __contains__(self, custom_id: str) -> bool:
        return _digest(custom_id) in self._answered

    def add(self, lines: list[bytes]) -> None:
        """Write results, and wait until they are on the disk."""
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        """Take the answers that are there. Raises InvalidRequestError for a file of another kind, which stays as it is."""
        end = 0
        for number, line in enumerate(self._file, start=1):
            result = _parsed(line)
            if result is None and not line.endswith(b"\n"):
                # A kill in the middle of a write.
                break
            if result is None:
                raise InvalidRequestError(
                    f"{self._path}: line {number} is not a result of a batch, so nothing is added to this file. "
                    "Choose another --output."
                )
            end += len(line)
            if (result.get("response") or {}).get("status_code") == 200:
                self._answered.add(_digest(result["custom_id"]))
        self._file.seek(end)
        self._file.truncate()
        if end and not _ends_a_line(self._file):
            self._file.write(b"\n")


@contextmanager
def open_output(path: Path) -> Iterator[BatchOutput]:
    """Open the output for the block, for this process alone. Raises InvalidRequestError, OSError."""
    # Not "r+b": the file may not be there. Not "a+b": a line that was cut off has to go.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        if not try_lock(file, fcntl.LOCK_EX):
            raise InvalidRequestError(f"{path}: another captionq batch run writes this file.")
        yield BatchOutput(path, file)


def _ends_a_line(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = from_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("custom_id"), str) else None


def _digest(custom_id: str) -> bytes:
    return hashlib.blake2b(custom_id.encode(), digest_size=16).digest()
