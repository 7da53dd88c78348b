"""Runs on the wire: the jobs of one command or request, of any kind."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.runtime.resources import Resources
from api.schemas.folder import Counts
from api.schemas.wire import Wire
from jobs.models.model_info import public_name
from jobs.store.tables import OPEN, Batch, BatchKind, JobStatus


class Run(Wire):
    """The jobs of one command or request. Times are seconds since the epoch."""

    id: str
    object: Literal["run"] = "run"
    kind: BatchKind = Field(description="run: a command; folder, list and file: a request")
    status: Literal["running", "paused", "ended"]
    description: str
    model: str
    priority: int = Field(description="Runs with a higher number go first")
    created_at: float
    paused_at: float | None
    counts: Counts


def run_object(batch: Batch, resources: Resources) -> Run:
    """Return a run with its counts."""
    counts = {status.value: count for status, count in resources.store.counts(batch.id).items()}
    has_ended = batch.complete and not any(counts[status] for status in OPEN)
    return Run(
        id=batch.id,
        kind=BatchKind(batch.kind),
        status="ended" if has_ended else "running" if batch.paused_at is None else "paused",
        description=batch.description,
        model=public_name(batch.model),
        priority=batch.priority,
        created_at=batch.created_at,
        paused_at=batch.paused_at,
        counts=Counts(total=sum(counts.values()), **{status.value: counts[status] for status in JobStatus}),
    )
