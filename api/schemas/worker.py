"""Workers on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class WorkerObject(BaseModel):
    """A live worker, as it described itself a moment ago."""

    object: Literal["worker"] = "worker"
    name: str
    host: str = Field(description="The name of its machine")
    status: str = Field(description="idle, busy, or draining: it takes no more jobs, and ends with those that it has")
    model: str | None = Field(description="The model whose jobs it takes; null: none yet")
    models: list[str] = Field(description="All models in its memory")
    batching: str | None = Field(description="How the model's requests are batched: together, one by one or alone")
    jobs: int = Field(description="Jobs that it is running")
    rows: int = Field(description="Requests that are being decoded")
    slots: int = Field(description="Requests that can be decoded together")
    rate: float | None = Field(description="Jobs ended per second over the last minute; null: not measured yet")
    rates: dict[str, float] = Field(description="The same by lane")
    memory_bytes: int | None = Field(description="Memory that its models and their caches take; null: unknown")
    draining: bool
    last_seen_at: float = Field(description="When it described itself, in seconds since the epoch")
    unloads_at: float | None = Field(
        description="When its models leave memory unless a job comes, in seconds since the epoch (CAPTIONQ_KEEP_ALIVE)"
    )
    bulk_wait: str | None = Field(
        description="Why it takes no jobs of the bulk lane for now, such as `until 22:00 (CAPTIONQ_HOURS)`; null: it takes them"
    )
    bulk_wait_codes: list[str] = Field(
        description="The reasons: outside_hours, low_battery, too_hot, little_memory; empty: none"
    )
    bulk_wait_until: float | None = Field(
        description="When it takes bulk jobs again, in seconds since the epoch; null: not known, or now"
    )


class WorkerList(BaseModel):
    """All live workers, by name."""

    object: Literal["list"] = "list"
    data: list[WorkerObject]
