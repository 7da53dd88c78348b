"""Table of webhooks."""

from __future__ import annotations

import time

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text
from sqlmodel import Field, SQLModel

from jobs.store.rows.ids import new_id
from jobs.store.rows.table_row import TableRow


class Webhook(TableRow, table=True):
    """Webhook: a message to be sent to a receiver when a job, or all of a batch, has ended."""

    __tablename__ = "webhook"
    __table_args__ = (Index("webhook_next_attempt", "next_attempt_at"),)

    #: The same at every attempt: the receiver recognizes a repeated message by its id.
    id: str = Field(default_factory=lambda: new_id("msg"), primary_key=True)
    url: str = Field(sa_column=Column(Text, nullable=False))
    job_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=True)
    )
    batch_id: str | None = Field(
        default=None, sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=True)
    )
    attempts: int = 0
    #: Seconds since the epoch; None: the message was delivered or given up.
    next_attempt_at: float | None = Field(default_factory=time.time)
    delivered_at: float | None = None
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    created_at: float = Field(default_factory=time.time)


WEBHOOK: Table = SQLModel.metadata.tables["webhook"]
