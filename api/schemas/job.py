"""A job on the wire: polling, lists, events and webhooks show the same object."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from api.errors.body import ErrorDetail, detail_of
from api.errors.translation import stored_error
from api.schemas.chat.chat_response import ChatCompletion, completion_of
from jobs.models.model_info import public_name
from jobs.requests import path_of
from jobs.store.tables import Job, JobStatus


class Seconds(BaseModel):
    """Seconds spent in each stage; null: the job has not reached it."""

    queue: float | None
    preprocess: float | None
    prefill: float | None
    decode: float | None


class JobObject(BaseModel):
    """A request, its status and its result. Times are seconds since the epoch."""

    id: str
    object: Literal["job"] = "job"
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    lane: Literal["interactive", "bulk"]
    batch: str | None = Field(description="The folder or list that the job belongs to")
    model: str
    source: str | None = Field(description="The image's name, for jobs of a folder")
    attempts: int = Field(description="How often the job was started")
    created_at: float
    started_at: float | None
    finished_at: float | None
    seconds: Seconds
    quality: str | None = Field(
        description="A defect of the answer (empty, repetition, cut_off, refusal, wrong_language), else of its image "
        "(truncated_image)"
    )
    cached: bool = Field(description="Whether the answer is an earlier job's to the same question, with its usage")
    result: ChatCompletion | None
    error: ErrorDetail | None = Field(description="Why the job failed")


class JobList(BaseModel):
    """A page of jobs. For the next page set after to `last_id`."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


def job_object(job: Job) -> JobObject:
    """Return the public object of a row."""
    return JobObject.model_validate(
        {
            **job.model_dump(include={"id", "status", "lane", "attempts", "created_at", "started_at", "finished_at"}),
            "quality": job.quality,
            "cached": job.cached,
            "batch": job.batch_id,
            "model": public_name(job.model),
            "source": source_name(job),
            "seconds": Seconds(
                queue=job.queue_seconds,
                preprocess=job.preprocess_seconds,
                prefill=job.prefill_seconds,
                decode=job.decode_seconds,
            ),
            "result": completion_of(job) if job.status == JobStatus.SUCCEEDED else None,
            "error": error_of(job),
        }
    )


def error_of(job: Job) -> ErrorDetail | None:
    """Return the error of a failed job; None for a job that will be tried again."""
    if job.status != JobStatus.FAILED:
        return None
    return detail_of(stored_error(job.error_code, job.error_message))


def source_name(job: Job, below: Path | None = None) -> str | None:
    """Return the image's name: its path within the folder `below`, or else only its file name."""
    if job.source is None or not job.source.startswith("file:"):
        return job.source
    path = path_of(job.source)
    name = path.relative_to(below) if below is not None and path.is_relative_to(below) else path.name
    return str(name).encode(errors="replace").decode()
