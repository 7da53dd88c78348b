"""Uploaded files on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, Field

from api.runtime.resources import Resources
from api.schemas.batch_lines import result_pages
from jobs.store.file_batches.batch_tables import ResultPart
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.file_tables import StoredFile


class FileObject(BaseModel):
    """OpenAI's `file`: an upload, or the results of a batch."""

    id: str
    object: Literal["file"] = "file"
    bytes: int = Field(description="Of the results of a batch that goes on: their size so far")
    created_at: int = Field(description="Seconds since the epoch")
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    expires_at: int | None = Field(default=None, description="When the file is deleted; null: never")


class FileList(BaseModel):
    """A page of files. For the next page set after to `last_id`."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    """The confirmation that a file was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def file_object(file: StoredFile, resources: Resources) -> FileObject:
    """Return the public object of a row."""
    return FileObject(
        id=file.id,
        bytes=_size_of(file, resources),
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
        expires_at=None if file.expires_at is None else int(file.expires_at),
    )


def results_of(file: StoredFile, resources: Resources) -> Iterator[bytes]:
    """Yield the results of a batch that a file without bytes of its own stands for."""
    assert file.batch_id is not None
    assert file.part is not None
    batch = resources.batches.get(file.batch_id)
    return result_pages(batch, ResultPart(file.part), FileLines(resources.store.engine))


def _size_of(file: StoredFile, resources: Resources) -> int:
    if file.sha256 is not None or file.bytes:
        return file.bytes
    return sum(map(len, results_of(file, resources)))
