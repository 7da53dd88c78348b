"""A job's fields, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath

from jobs.captions.outputs.job_record import path_for_programs, prompt_of, settings_of, shown_path
from jobs.models.adapters import split_name
from jobs.store.tables import Batch, Job, JobStatus


def as_json(job: Job) -> dict[str, object]:
    """Return a job as an object for programs."""
    return {
        "id": job.id,
        "batch": job.batch_id,
        "status": job.status,
        "image": image_of(job),
        "output": path_for_programs(job.output) if job.output and job.parsed_delivery().writes_text else None,
        "model": split_name(job.model)[0],
        "adapter": split_name(job.model)[1],
        "attempts": job.attempts,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "text": job.text,
        "output_text": job.output_text,
        "previous_text": previous_text(job),
        "finish_reason": job.finish_reason,
        "quality": job.quality,
        "quality_retries": job.quality_retries,
        "reviewed_at": job.reviewed_at,
        "edited_text": job.edited_text,
        "cached": job.cached,
        "logprobs": json.loads(job.logprobs) if job.logprobs else None,
        "tool_calls": json.loads(job.tool_calls) if job.tool_calls else None,
        "choices": json.loads(job.choices) if job.choices else None,
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


def with_question(job: Job) -> dict[str, object]:
    """Return a job as an object for programs that did not ask the question themselves."""
    return {**as_json(job), "prompt": prompt_of(job), "settings": settings_of(job)}


def batch_as_json(batch: Batch, counts: Mapping[JobStatus, int]) -> dict[str, object]:
    """Return a batch, with its numbers of jobs by status, as an object for programs."""
    return {**batch.model_dump(), "counts": counts}


def image_of(job: Job) -> str | None:
    """Return the path of the image file that the job is about; None: its images came with a request, or it has none."""
    return path_for_programs(job.source) if job.source else None


def name_of(job: Job) -> str:
    """Return the image's path, or the job's id if it has no image.

    A photo of a Photos library has the name of its imported file: its text, which lies elsewhere, is named after that and a UUID.
    """
    if job.source and job.output and PurePath(job.source).parent != PurePath(job.output).parent:
        return PurePath(shown_path(job.output)).with_suffix("").stem
    return shown_path(job.source) if job.source else job.id


def reason_of(job: Job) -> str:
    """Say why a job has no text."""
    return "cancelled" if job.status == JobStatus.CANCELLED else job.error_message or "unknown"


def previous_text(job: Job) -> str | None:
    """Return the text that the job's answer replaced."""
    return None if job.previous_text is None else job.previous_text.decode(errors="replace")
