"""A job's fields, as text and as JSON."""

from __future__ import annotations

import json

from jobs.requests import path_of
from jobs.store.tables import Job, JobStatus


def as_json(job: Job) -> dict[str, object]:
    """Return a job as an object for programs."""
    return {
        "id": job.id,
        "batch": job.batch_id,
        "status": job.status,
        "image": path_for_programs(job.source) if job.source else job.id,
        "output": path_for_programs(job.output) if job.output else None,
        "model": job.model,
        "text": job.text,
        "previous_text": previous_text(job),
        "finish_reason": job.finish_reason,
        "quality": job.quality,
        "logprobs": json.loads(job.logprobs) if job.logprobs else None,
        "usage": {
            "prompt_tokens": job.prompt_tokens,
            "image_tokens": job.image_tokens,
            "completion_tokens": job.completion_tokens,
        },
        "seconds": {
            "queue": job.queue_seconds,
            "preprocess": job.preprocess_seconds,
            "prefill": job.prefill_seconds,
            "decode": job.decode_seconds,
        },
        "error": {"code": job.error_code, "message": job.error_message} if job.status == JobStatus.FAILED else None,
    }


def name_of(job: Job) -> str:
    """Return the image's path, or the job's id if it has no image."""
    return shown_path(job.source) if job.source else job.id


def reason_of(job: Job) -> str:
    """Say why a job has no text."""
    return "cancelled" if job.status == JobStatus.CANCELLED else job.error_message or "unknown"


def previous_text(job: Job) -> str | None:
    """Return the text that the job's answer replaced."""
    return None if job.previous_text is None else job.previous_text.decode(errors="replace")


def shown_path(address: str) -> str:
    """Return the path of a file address, for a terminal: with escapes for bytes that are not UTF-8."""
    return str(path_of(address)) if address.startswith("file:") else address


def path_for_programs(address: str) -> str:
    """Return the path of a file address; the address itself if the path is not UTF-8, which JSON cannot hold."""
    path = shown_path(address)
    try:
        path.encode()
    except UnicodeEncodeError:
        return address
    return path
