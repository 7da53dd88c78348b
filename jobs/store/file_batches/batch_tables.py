"""Tables of batches whose requests are the lines of a file: OpenAI's `batch` and Anthropic's `message_batch`."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Text
from sqlmodel import Field

from jobs.store.rows.table_row import TableRow


class FileBatchStatus(StrEnum):
    """State of a batch: `validating → in_progress → finalizing → completed | expired`; each change is guarded.

    A file with flaws leads from `validating` to `failed`; a client's cancel from `validating` or `in_progress` to `cancelling`,
    and then to `cancelled`. Anthropic's batches are checked before they are stored: they begin in progress.
    """

    VALIDATING = "validating"  #: the lines of the file are checked
    IN_PROGRESS = "in_progress"  #: lines become jobs, a window at a time
    FINALIZING = "finalizing"  #: no line becomes a job any more; the results are measured
    CANCELLING = "cancelling"  #: the same, for a client that cancelled the batch
    COMPLETED = "completed"  #: final: each line has an answer or an error
    FAILED = "failed"  #: final: the file is not valid
    EXPIRED = "expired"  #: final: the completion window ended first
    CANCELLED = "cancelled"  #: final


#: States of batches that have not ended.
OPEN_BATCHES = (
    FileBatchStatus.VALIDATING,
    FileBatchStatus.IN_PROGRESS,
    FileBatchStatus.FINALIZING,
    FileBatchStatus.CANCELLING,
)


class ResultPart(StrEnum):
    """File of a batch's results."""

    OUTPUT = "output"  #: the lines that were answered
    ERRORS = "errors"  #: the lines that failed, expired or were cancelled


class FileBatch(TableRow, table=True):
    """Batch of requests from a file. The row of `batch` with the same id has its jobs."""

    __tablename__ = "file_batch"
    __table_args__ = (Index("file_batch_status", "status"),)

    id: str = Field(sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True))
    #: The API whose objects clients see: `openai` or `anthropic`.
    dialect: str = "openai"
    #: The path that each line asks, such as `/v1/chat/completions`.
    endpoint: str
    #: The upload with the lines, and its bytes: the batch needs the bytes only. Anthropic's batches have no upload: "".
    input_file_id: str
    input_sha256: str
    #: As the client wrote it. The deadline is `expires_at`.
    completion_window: str
    #: The client's `metadata`, as JSON.
    labels: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The URL that is sent the batch when it has ended.
    webhook: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: Seconds for which the results are kept after the end of the batch; None: for ever.
    results_kept: float | None = None
    status: str = FileBatchStatus.VALIDATING
    #: The final status that a finalizing or cancelling batch will have.
    ending: str | None = None
    #: The model of all lines; None: the file is not validated.
    model: str | None = None
    #: Number of lines with requests.
    total: int = 0
    #: The flaws of a file that is not valid, as a JSON list.
    errors: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    #: The `Tally` of an ended batch, as JSON.
    tally: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    created_at: float = Field(default_factory=time.time)
    expires_at: float
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    expired_at: float | None = None
    cancelling_at: float | None = None
    cancelled_at: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.status not in OPEN_BATCHES

    def parsed_labels(self) -> dict[str, str] | None:
        """Return the client's metadata."""
        return None if self.labels is None else json.loads(self.labels)

    def parsed_errors(self) -> list[dict[str, Any]]:
        """Return the flaws of the file."""
        return [] if self.errors is None else json.loads(self.errors)


class FileLine(TableRow, table=True):
    """Line of a batch's file that has had its turn: answered by a job, refused, or closed with its batch."""

    __tablename__ = "file_line"
    __table_args__ = (Index("file_line_job", "job_id", unique=True),)

    batch_id: str = Field(sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True))
    #: 1, 2, 3 … in the file, empty lines included.
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    #: The place in the file behind the line.
    end_offset: int = Field(sa_column=Column(BigInteger, nullable=False))
    #: As JSON: a text that every database holds, whatever its characters.
    custom_id: str = Field(sa_column=Column(Text, nullable=False))
    #: None: the line was refused or closed.
    job_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=True)
    )
    #: Status and body of the answer to a request that cannot be served, as JSON; None: the line has a job, or was closed.
    refusal: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
