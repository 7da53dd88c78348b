"""The form of an answer in a dialect: the body of a whole answer, and the messages of a streamed one."""

from __future__ import annotations

from typing import Protocol

from api.streaming.growing_answer import Piece
from jobs.errors import CaptionqError
from jobs.store.tables import Job


class AnswerForm(Protocol):
    """One dialect's form of the answer of one job. A new object for each answer: it may count what it has sent."""

    #: The type of a streamed answer, such as `text/event-stream`.
    media_type: str
    #: A message that shows that the connection lives while there is no text; empty: the dialect has none.
    heartbeat: bytes

    def body(self, job: Job) -> str:
        """Return the JSON of a whole answer, from the row of a job that has one."""
        ...

    def begin(self) -> list[bytes]:
        """Return the messages before the first text."""
        ...

    def piece(self, piece: Piece) -> list[bytes]:
        """Return the messages for new text."""
        ...

    def end(self, job: Job) -> list[bytes]:
        """Return the messages after the last text."""
        ...

    def failure(self, error: CaptionqError) -> bytes:
        """Return the message that ends a stream whose answer failed."""
        ...
