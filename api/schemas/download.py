"""Downloads of models on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.errors.body import ErrorDetail, detail_of
from api.errors.translation import stored_error
from api.schemas.wire import Wire
from jobs.queue.downloads.records import Download, DownloadStatus


class DownloadBody(Wire):
    """The body of `POST /v1/downloads`."""

    model: str = Field(
        min_length=1,
        max_length=400,
        description="A name on Hugging Face (owner/name), or with an adapter owner/name+adapter=owner/adapter",
    )
    worker: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The worker whose machine gets the model, by its name or the beginning of it; absent: the first that "
        "takes the download",
    )


class DownloadObject(BaseModel):
    """The download of a model to the machine of a worker."""

    id: str
    object: Literal["download"] = "download"
    model: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"] = Field(
        description="queued: it waits for a worker, each of which downloads one model at a time"
    )
    worker: str | None = Field(
        description="The worker that downloads; of a queued one the worker that was asked, if any"
    )
    bytes: int = Field(description="Bytes of the model's files that are there")
    total_bytes: int | None = Field(description="Bytes of all its files; null: not known yet")
    created_at: float = Field(description="In seconds since the epoch")
    error: ErrorDetail | None = Field(description="Why the download failed")


class DownloadList(BaseModel):
    """The downloads of the last day, the newest first."""

    object: Literal["list"] = "list"
    data: list[DownloadObject]


def download_object(download: Download) -> DownloadObject:
    """Return the public object of a record."""
    failed = download.status is DownloadStatus.FAILED
    return DownloadObject(
        id=download.id,
        model=download.model,
        status=download.status.value,
        worker=download.worker or download.wanted or None,
        bytes=download.done,
        total_bytes=download.total,
        created_at=download.created_at,
        error=detail_of(stored_error(download.error_code, download.error)) if failed else None,
    )
