"""Tables of jobs and batches. Those beside them: `file_tables.py`, `webhooks/webhook_table.py`."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Text, text
from sqlmodel import Field

from jobs.mounts import mounts
from jobs.options.delivery import DeliveryOptions
from jobs.options.prompts.typed_question import TypedQuestion
from jobs.requests import Request
from jobs.store.rows.ids import new_id
from jobs.store.rows.plain_rows import PlainRow, unobserve
from jobs.store.rows.table_row import TableRow
from jobs.tools import ToolCall, calls_of


class JobStatus(StrEnum):
    """State of a job. `queued → running → succeeded | failed | cancelled`; only recovery and retries lead back to queued."""

    QUEUED = "queued"  #: waits; gets a queue entry when its turn is near (`jobs/queue/feeding.py`)
    RUNNING = "running"  #: claimed by a worker
    SUCCEEDED = "succeeded"  #: final: its text and usage are stored
    FAILED = "failed"  #: final: its error is stored
    CANCELLED = "cancelled"  #: final: a client or command cancelled it


#: States of jobs that have not ended.
OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)
#: States of jobs that ended without an answer, which may be run again.
UNANSWERED = (JobStatus.FAILED, JobStatus.CANCELLED)


class Lane(StrEnum):
    """Name of a lane. The worker empties the lanes in this order."""

    INTERACTIVE = "interactive"  #: urgent: a client waits for the answer
    BULK = "bulk"  #: folders and batches


class BatchKind(StrEnum):
    """Kind of request or command that made a batch."""

    RUN = "run"  #: the command line
    FOLDER = "folder"  #: `POST /v1/folders`
    LIST = "list"  #: `POST /v1/jobs` with a list
    FILE = "file"  #: `POST /v1/batches`, a file of requests, or `POST /v1/messages/batches`
    SAMPLE = "sample"  #: a few pictures that the page captions ahead of a run; no list shows it


class Batch(TableRow, table=True):
    """Batch: the jobs of one command or request."""

    __tablename__ = "batch"
    __table_args__ = (
        Index("batch_idempotency_key", "idempotency_key", unique=True),
        Index("batch_created", "created_at", "id"),
    )

    id: str = Field(default_factory=lambda: new_id("batch"), primary_key=True)
    #: Description for people: the paths that the command was given.
    description: str = Field(sa_column=Column(Text, nullable=False))
    kind: str = BatchKind.RUN
    model: str
    #: The data folder with the lock file of the command that made the batch; None: no command has to live for its jobs.
    maker: str | None = None
    #: The client's scoped `Idempotency-Key`, by which a repeated request is recognized, and the digest of the request.
    idempotency_key: str | None = None
    digest: str | None = None
    #: Whether all jobs of the batch are in the database.
    complete: bool = True
    #: Batches with a higher priority go first, strictly.
    priority: int = 0
    #: Whether all older batches of the same priority wait for this one: a person watches it, and they were left behind.
    overtakes: bool = False
    #: When the batch was paused: its queued jobs wait; None: it is not paused.
    paused_at: float | None = None
    #: Seconds since the epoch, as every `*_at`.
    created_at: float = Field(default_factory=time.time)


_WAITS = text("status = 'queued'")


class Job(PlainRow, table=True):
    """Job: one generation, with its request, its state and its result."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_batch_status", "batch_id", "status", "created_at"),
        # By their migration, this index and those of the keys have entries for rows with a value only.
        Index("job_batch_finished", "batch_id", "finished_order"),
        Index("job_status_created", "status", "created_at"),
        # The queue: the rows that wait, in their order. On Postgres also, by its migration; said here, each process would import
        # that dialect.
        Index("job_waiting", "lane", "batch_id", "position", "id", sqlite_where=_WAITS),
        Index("job_idempotency_key", "idempotency_key", unique=True),
        Index("job_cache_key", "cache_key"),
        # Answers with a flaw only, and answers of jobs with an error only.
        Index("job_flawed", "status", "created_at"),
        Index("job_not_as_asked", "status", "created_at"),
        # On Postgres a hash index, by its migration: B-trees there cannot hold paths of any length.
        Index("job_output", "output"),
    )

    id: str = Field(default_factory=lambda: new_id("job"), primary_key=True)
    batch_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=True)
    )
    lane: str = Lane.BULK
    #: Place within the batch, from the front; jobs with the same one go in the order of their ids.
    position: int = 0
    status: str = JobStatus.QUEUED
    model: str
    #: The `Request` as JSON. In the database a vocabulary is replaced by its hash.
    request: str = Field(sa_column=Column(Text, nullable=False))
    #: Equal for equal requests (`Request.digest`) with equal deliveries.
    digest: str
    #: The image's file address (`file:///…`): unlike a path, an address can hold every file name.
    source: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The address of the file that the text is also written to.
    output: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: SHA-256, in hex digits, of that file's content when the job was queued, or when an attempt was about to write the file;
    #: None: there was no file. A file that has changed since then is not overwritten.
    output_before: str | None = None
    #: The file's content that the job's text replaced, or to which it was added.
    previous_text: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    #: SHA-256 of the whole file as an attempt wrote it, or was about to write it.
    output_after: str | None = None
    #: The new text of the file, without a text that it was added to; None: the text is the answer (`text`).
    output_text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: JSON of the `DeliveryOptions` that differ from the defaults; None: none does.
    delivery: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The `TypedQuestion` as JSON, for a job that fills a cell of a table; None: the job belongs to no table.
    question: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: Whether the job's events, tokens among them, are published as they happen.
    streamed: bool = False
    #: The folders below which the job's images may be read, as a JSON list; None: the folders that the worker allows.
    roots: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The client's scoped `Idempotency-Key`, by which a repeated request is recognized.
    idempotency_key: str | None = None

    #: The name of the worker that claimed the job.
    worker: str | None = None
    #: Number of claims.
    attempts: int = 0
    #: Number of worker deaths while the job ran.
    deaths: int = 0
    created_at: float = Field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None
    #: 1, 2, 3 … within the batch, in the order in which its jobs ended: a cursor for clients that follow the batch.
    finished_order: int | None = None

    text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: `stop` or `length`.
    finish_reason: str | None = None
    #: A flaw of the text: `empty`, `repetition`, `cut_off`, `refusal`, `wrong_language`; None: none was found.
    quality: str | None = None
    #: Number of times that the question was asked again, with changed settings, because of a flaw. `request` is the last one.
    quality_retries: int = 0
    #: When a person reviewed the flawed answer; None: no person has.
    reviewed_at: float | None = None
    #: The file's text as a person edited it in a review; None: it was not edited. `text` stays the model's.
    edited_text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The model's thoughts, which are not part of the text.
    reasoning: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The calls of functions in the answer, as JSON: `[{"name", "arguments"}, …]`; None: there are none.
    tool_calls: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The answers after the first, as JSON of `jobs.store.answers.Answer`; None: the request asked for one.
    choices: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: JSON in OpenAI's shape, if requested: `[{"token", "logprob", "bytes", "top_logprobs": […]}, …]`.
    logprobs: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The key of the question in the result cache; None: the answer is not given again.
    cache_key: str | None = None
    #: Whether the answer is that of an earlier job, with that job's usage.
    cached: bool = False
    #: Number of token ids in the prompt, image tokens included.
    prompt_tokens: int | None = None
    image_tokens: int | None = None
    completion_tokens: int | None = None
    queue_seconds: float | None = None
    preprocess_seconds: float | None = None
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    error_code: str | None = None
    error_message: str | None = Field(default=None, sa_column=Column(Text, nullable=True))

    @property
    def new_text(self) -> str | None:
        """The text for the file or the client; None: there is no answer."""
        return self.text if self.output_text is None else self.output_text

    @property
    def caption(self) -> str | None:
        """The text as a person edited it, or else the job's; None: there is none."""
        return self.new_text if self.edited_text is None else self.edited_text

    def expect_text(self, content_hash: str | None) -> None:
        """Expect the file to have this content when the answer is there, unless it is content that an attempt knows already.

        Args:
            content_hash: SHA-256 of the content; None: there is no file.
        """
        if content_hash is None or content_hash not in (self.output_before, self.output_after):
            self.output_before, self.output_after = content_hash, None

    def parsed_roots(self) -> list[Path] | None:
        """Return the folders below which the job's images may be read; None: the folders that the worker allows."""
        return None if self.roots is None else [mounts().here(Path(root)) for root in json.loads(self.roots)]

    def parsed_delivery(self) -> DeliveryOptions:
        """Return the options for the way from the answer to files."""
        return DeliveryOptions() if self.delivery is None else DeliveryOptions.model_validate_json(self.delivery)

    def parsed_question(self) -> TypedQuestion | None:
        """Return the question of a table that the job answers."""
        return None if self.question is None else TypedQuestion.model_validate_json(self.question)

    def parsed_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of functions in the answer."""
        return calls_of(json.loads(self.tool_calls) if self.tool_calls else None, self.id)

    def parsed_request(self) -> Request:
        """Return the request."""
        return Request.model_validate_json(self.request)


unobserve(Job)
