"""Rows for tests that need jobs but no model."""

from __future__ import annotations

from pathlib import Path

from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus

RESULT = Result(
    text="A large red circle on a white background.",
    finish_reason="stop",
    prompt_tokens=40,
    image_tokens=16,
    completion_tokens=9,
    preprocess_seconds=0.01,
    prefill_seconds=0.02,
    decode_seconds=0.03,
)


def make_job(name: str = "photo", batch: Batch | None = None, prompt: str = "Describe this image.") -> Job:
    """Return a queued job about a file that is never opened."""
    image = Path(f"/pictures/{name}.jpg")
    request = Request.about_image(image, model="demo", prompt=prompt, sampling=Sampling())
    return Job(
        batch_id=batch.id if batch else None,
        model="demo",
        request=request.model_dump_json(),
        digest=request.digest,
        source=image.as_uri(),
        output=image.with_suffix(".txt").as_uri(),
    )


def add_batch(store: Store, size: int, status: JobStatus = JobStatus.QUEUED) -> tuple[Batch, list[Job]]:
    """Store a batch of jobs, all in one state."""
    batch = Batch(description="pictures", model="demo")
    jobs = [make_job(str(number), batch) for number in range(size)]
    for job in jobs:
        # Two open jobs must not write the same file.
        job.output = f"file:///pictures/{job.id}.txt"
        job.status = status
    store.add_batch(batch)
    if jobs:
        store.add(jobs)
    return batch, jobs
