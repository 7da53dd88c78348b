"""Uploaded files on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


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
