"""Uploaded files on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from jobs.store.file_tables import StoredFile


class FileObject(BaseModel):
    """OpenAI's `file`: an uploaded image."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="Seconds since the epoch")
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    expires_at: None = None


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


def file_object(file: StoredFile) -> FileObject:
    """Return the public object of a row."""
    return FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
    )
