"""The start of a claimed job: its model is loaded if another is in place, and its request goes into the pipeline."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from jobs.store.tables import Job, Lane
from worker.dispatch.faults.output_folders import OutputFolders
from worker.dispatch.job_events import JobEvents
from worker.dispatch.outcomes.output_delivery import kept_result
from worker.dispatch.outcomes.quality_gate import has_gate
from worker.dispatch.rq_leases import Leases
from worker.engine.sequences import Outcome
from worker.models.failures import as_captionq_error
from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")


class JobStarts:
    """Starts jobs in a pipeline, and publishes the progress of a model that is loaded for one of them."""

    def __init__(self, pipeline: RequestPipeline, leases: Leases, events: JobEvents) -> None:
        """`leases` are renewed while a model is loaded."""
        self._pipeline = pipeline
        self._leases = leases
        self._events = events
        self._folders = OutputFolders()

    def start(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Give the jobs' requests to the pipeline. Yields the outcomes of jobs that have their answers, or cannot start."""
        for job in jobs:
            self._events.began(job)
        # Before a model is loaded for one of them.
        self._events.flush()
        for job in jobs:
            if (outcome := self._start(job)) is not None:
                yield outcome
        self._events.flush()

    def _start(self, job: Job) -> Outcome | None:
        if (kept := kept_result(job)) is not None:
            return Outcome(job.id, result=kept)
        if (refusal := self._folders.refusal(job)) is not None:
            return Outcome(job.id, error=refusal)
        try:
            request = job.parsed_request()
            if self._pipeline.model != request.model:
                self._load(job, request.model)
            roots = job.parsed_roots()
            urgent = job.lane == Lane.INTERACTIVE
            gated = has_gate(job)
            self._pipeline.begin(job.id, request, urgent=urgent, followed=job.streamed, roots=roots, mended=gated)
        except Exception as error:
            return Outcome(job.id, error=as_captionq_error(error))
        return None

    def _load(self, job: Job, model: str) -> None:
        """Load the model, and publish the progress as events of the job that waits for it."""
        logger.info("Loading %s.", model)
        begun = time.monotonic()
        self._events.publish(job, "loading", model=model)

        def on_progress(done: int, total: int) -> None:
            self._events.publish(job, "loading", model=model, bytes=done, total_bytes=total)

        def on_check() -> None:
            self._events.publish(job, "checking", model=model)

        with self._leases.beating():
            self._pipeline.load(model, on_progress, on_check)
        self._events.publish(job, "loaded", model=model, seconds=round(time.monotonic() - begun, 3))
