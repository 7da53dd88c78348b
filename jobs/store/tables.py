"""The rows of the system of record."""

from __future__ import annotations

import json
import secrets
import time
from enum import StrEnum
from pathlib import Path

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Text
from sqlmodel import Field, SQLModel

from jobs.requests import Request


class JobStatus(StrEnum):
    """Where a job is. `queued → running → succeeded | failed | cancelled`; only recovery and retries lead back to queued."""

    QUEUED = "queued"  #: a row that waits; it has a queue entry, or `reconcile` gives it one
    RUNNING = "running"  #: claimed by a worker
    SUCCEEDED = "succeeded"  #: final: its text and usage are stored
    FAILED = "failed"  #: final: its error is stored
    CANCELLED = "cancelled"  #: final: somebody did not want it any more


OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
#: Ended without an answer: what may be asked again.
UNANSWERED = (JobStatus.FAILED, JobStatus.CANCELLED)


class Lane(StrEnum):
    """The queues, in the order in which the worker empties them."""

    INTERACTIVE = "interactive"  #: somebody waits for the answer
    BULK = "bulk"  #: folders and batches


def new_id(kind: str) -> str:
    """An id that sorts by the time it was made: `job_` + 11 hex digits of milliseconds + 10 random ones."""
    return f"{kind}_{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)}"


class BatchKind(StrEnum):
    """What made a batch."""

    RUN = "run"  #: the command line
    FOLDER = "folder"  #: `POST /v1/folders`
    LIST = "list"  #: `POST /v1/jobs` with a list


class Batch(SQLModel, table=True):
    """The jobs of one run."""

    __tablename__ = "batch"
    __table_args__ = (Index("batch_idempotency_key", "idempotency_key", unique=True),)

    id: str = Field(default_factory=lambda: new_id("batch"), primary_key=True)
    #: What it was made from, for people: the paths of the command.
    description: str = Field(sa_column=Column(Text, nullable=False))
    kind: str = BatchKind.RUN
    model: str
    #: The data folder whose `runs/` holds the lock file of the command that made it (`jobs/creation/live_runs.py`); None: no
    #: command lives as long as its jobs.
    maker: str | None = None
    #: What makes a repeated creation the same one, and a digest of what was asked with it.
    idempotency_key: str | None = None
    digest: str | None = None
    #: Whether all of its jobs are there.
    complete: bool = True
    #: Seconds since the epoch, as every `*_at`.
    created_at: float = Field(default_factory=time.time)


class Job(SQLModel, table=True):
    """One generation: what was asked, where it is, and what came of it."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_batch_status", "batch_id", "status"),
        Index("job_batch_finished", "batch_id", "finished_order"),
        Index("job_status_created", "status", "created_at"),
        Index("job_idempotency_key", "idempotency_key", unique=True),
        # Hashes on Postgres: its trees hold no text of the length that a path may have.
        Index("job_output", "output", postgresql_using="hash"),
    )

    id: str = Field(default_factory=lambda: new_id("job"), primary_key=True)
    batch_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=True)
    )
    lane: str = Lane.BULK
    status: str = JobStatus.QUEUED
    model: str
    #: The `Request` as JSON.
    request: str = Field(sa_column=Column(Text, nullable=False))
    #: Equal for equal requests (`Request.digest`).
    digest: str
    #: The image, as a file address (`file:///…`): unlike a path, it can hold every file name.
    source: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The file that is to hold the text besides this row, as a file address.
    output: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: SHA-256 in hex digits of that file's content when the job was queued; None: there was no file. What was written since
    #: then is left alone.
    output_before: str | None = None
    #: The content that the job's text replaced.
    previous_text: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    #: Whether its events are published as they happen, tokens among them.
    streamed: bool = False
    #: The folders from below which its images may be read, as a JSON list; None: what the worker allows.
    roots: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: What makes a repeated creation the same one.
    idempotency_key: str | None = None

    #: The worker that claimed it.
    worker: str | None = None
    #: How often it was claimed.
    attempts: int = 0
    #: How often its worker died while it ran.
    deaths: int = 0
    created_at: float = Field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None
    #: 1, 2, 3 … within the batch, in the order in which its jobs ended: a cursor for whoever follows.
    finished_order: int | None = None

    text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: `stop` or `length`.
    finish_reason: str | None = None
    #: `empty`, `repetition`; None: nothing was noticed.
    quality: str | None = None
    #: JSON in OpenAI's shape, if asked for: `[{"token", "logprob", "bytes", "top_logprobs": […]}, …]`.
    logprobs: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: Ids of the prompt, image tokens included.
    prompt_tokens: int | None = None
    image_tokens: int | None = None
    completion_tokens: int | None = None
    queue_seconds: float | None = None
    preprocess_seconds: float | None = None
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    error_code: str | None = None
    error_message: str | None = Field(default=None, sa_column=Column(Text, nullable=True))

    def parsed_roots(self) -> list[Path] | None:
        """The folders from below which its images may be read; None: what the worker allows."""
        return None if self.roots is None else [Path(root) for root in json.loads(self.roots)]

    def parsed_request(self) -> Request:
        return Request.model_validate_json(self.request)


class StoredFile(SQLModel, table=True):
    """An upload: a name for bytes that lie among the blobs."""

    __tablename__ = "stored_file"

    id: str = Field(default_factory=lambda: new_id("file"), primary_key=True)
    #: Of its bytes, as 64 hex digits.
    sha256: str = Field(index=True)
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    filename: str = Field(sa_column=Column(Text, nullable=False))
    #: OpenAI's word: `vision`.
    purpose: str
    #: What makes a repeated upload the same one.
    idempotency_key: str | None = Field(default=None, unique=True)
    created_at: float = Field(default_factory=time.time)


class Webhook(SQLModel, table=True):
    """Somebody who wants to be told when a job, or all of a batch, has ended."""

    __tablename__ = "webhook"
    __table_args__ = (Index("webhook_next_attempt", "next_attempt_at"),)

    #: The same at every attempt: the receiver knows a repeated message by it.
    id: str = Field(default_factory=lambda: new_id("msg"), primary_key=True)
    url: str = Field(sa_column=Column(Text, nullable=False))
    job_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=True)
    )
    batch_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=True)
    )
    attempts: int = 0
    #: None: there is nothing left to do, it was delivered or given up.
    next_attempt_at: float | None = Field(default_factory=time.time)
    delivered_at: float | None = None
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    created_at: float = Field(default_factory=time.time)
