"""Health checks on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Alive(BaseModel):
    """The answer of a process that lives."""

    status: Literal["ok"] = "ok"


class WorkerReady(BaseModel):
    """A live worker, as it last described itself."""

    model: str | None = Field(description="The loaded model; null: none yet")
    batching: str | None = Field(
        description="together, one by one or alone: how the model's requests are batched without changing each other"
    )
    status: str = Field(description="idle, busy, or draining: it takes no more jobs")
    jobs: int = Field(description="Jobs that it is running")
    rate: float | None = Field(description="Jobs ended per second over the last minute; null: not measured yet")
    last_seen_at: float = Field(description="When it described itself, in seconds since the epoch")
    rows: int = Field(description="Requests that are being decoded")
    slots: int = Field(description="Requests that can be decoded together")
    stands_still: bool = Field(
        description="The present step takes too long; the worker restarts itself (CAPTIONQ_STALL)"
    )
    bulk_wait: str | None = Field(
        description="Why it takes no bulk jobs for now, such as `until 22:00 (CAPTIONQ_HOURS)`; interactive ones run in any case"
    )


class Readiness(BaseModel):
    """Whether the server can answer, and the parts that it needs."""

    ready: bool
    broker: bool
    database: bool
    draining: bool = Field(description="The server was asked to stop: no new work is taken")
    model: str = Field(description="The default model")
    model_is_here: bool = Field(description="false: the default model is downloaded at the first request for it")
    workers: list[WorkerReady]
    problems: list[str] = Field(
        description="Codes of present faults, such as disk_full, database_locked or worker_stands_still; work waits for them"
    )
