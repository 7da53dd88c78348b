"""Tables of files: those that jobs wrote, and those that clients uploaded."""

from __future__ import annotations

import time

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text
from sqlmodel import Field, SQLModel

from jobs.store.rows.ids import new_id
from jobs.store.rows.table_row import TableRow


class WrittenFile(TableRow, table=True):
    """Change of a file by a job, recorded before the file is touched: enough to take the change back."""

    __tablename__ = "written_file"
    __table_args__ = (
        Index("written_file_job", "job_id"),
        # On Postgres the migration makes it a hash; said here, each process would import that dialect.
        Index("written_file_path", "path"),
    )

    id: str = Field(default_factory=lambda: new_id("write"), primary_key=True)
    job_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=False))
    #: `txt`, `json`, `xmp`, or `embed` for the image file itself.
    kind: str
    #: The file's address (`file:///…`).
    path: str = Field(sa_column=Column(Text, nullable=False))
    #: The content before the change; None: there was no file, or the content is in `backup`.
    before: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    #: SHA-256 of the content before, in hex digits; None: there was no file.
    before_sha256: str | None = None
    #: The address of the file that holds the content before.
    backup: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    after_sha256: str
    written_at: float = Field(default_factory=time.time)
    #: When the change was taken back, or found to be overwritten by others.
    undone_at: float | None = None


class StoredFile(TableRow, table=True):
    """File: a name for bytes that are stored as a blob, or for the results of a batch, which are rendered when they are read."""

    __tablename__ = "stored_file"
    __table_args__ = (Index("stored_file_batch", "batch_id"),)

    id: str = Field(default_factory=lambda: new_id("file"), primary_key=True)
    #: Hash of the bytes, as 64 hex digits; None: the results of a batch.
    sha256: str | None = Field(default=None, index=True)
    #: For the results of a batch: 0 until it has ended.
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    filename: str = Field(sa_column=Column(Text, nullable=False))
    #: OpenAI's purpose: `batch`, `batch_output`, `vision`, `user_data`.
    purpose: str
    #: The batch whose results these are, and which of them: a `ResultPart`.
    batch_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=True)
    )
    part: str | None = None
    #: When the file is deleted; None: never.
    expires_at: float | None = None
    #: The client's scoped `Idempotency-Key`, by which a repeated upload is recognized.
    idempotency_key: str | None = Field(default=None, unique=True)
    created_at: float = Field(default_factory=time.time)


WRITTEN_FILE: Table = SQLModel.metadata.tables["written_file"]
STORED_FILE: Table = SQLModel.metadata.tables["stored_file"]
