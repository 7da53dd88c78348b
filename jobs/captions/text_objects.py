"""Texts that are objects beside pictures in S3. A new text never replaces another writer's: the store checks the condition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import MissingToolError, ObjectStoreError, OutputError
from jobs.objects.store import (
    ObjectNotFoundError,
    create_object,
    read_object,
    remove_object,
    replace_object,
)


def read_text_object(path: Path, most: int) -> bytes | None:
    """Read a text of at most `most` + 1 bytes; None: there is none. Raises OutputError."""
    with _worded(path, "read"):
        try:
            return read_object(path, most)
        except ObjectNotFoundError:
            return None


def write_text_object(path: Path, content: bytes, *, replaces: bytes | None) -> bool:
    """Write a text, and return whether it was written: another text that is there by now stays. Raises OutputError.

    `replaces`: the content that is there; None: there is none.
    """
    with _worded(path, "written"):
        try:
            return create_object(path, content) if replaces is None else replace_object(path, content, replaces)
        except ObjectNotFoundError:
            return False


def remove_text_object(path: Path) -> None:
    """Remove a text, if it is there. Raises OutputError."""
    with _worded(path, "removed"):
        remove_object(path)


@contextmanager
def _worded(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except MissingToolError:
        raise
    except ObjectStoreError as error:
        raise OutputError(f"{path.name} could not be {done}. {error.message}") from error
