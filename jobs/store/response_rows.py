"""Rows of stored responses (`POST /v1/responses`). A response is a job; its row holds the parts that the job does not."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Column, Connection, Engine, ForeignKey, String, Table, Text, delete, insert, select
from sqlmodel import Field, SQLModel

from jobs.store.connection import reading, writing
from jobs.store.rows.table_row import TableRow


class StoredResponse(TableRow, table=True):
    """Response: it can be retrieved, and a later one may continue its conversation."""

    __tablename__ = "response"

    job_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True))
    #: JSON of the fields that are shown to the client as it sent them.
    asked: str = Field(sa_column=Column(Text, nullable=False))
    #: Index, among the messages of the job's request, of the first message that is new in this response.
    first_message: int


_response: Table = SQLModel.metadata.tables["response"]


def add_responses(connection: Connection, responses: Sequence[StoredResponse]) -> None:
    """Insert responses, in the transaction that inserts their jobs."""
    if responses:
        connection.execute(insert(_response), [response.model_dump() for response in responses])


def find_response(engine: Engine, job_id: str) -> StoredResponse | None:
    """Return the response of this job; None: it is not stored."""
    with reading(engine) as connection:
        row = connection.execute(select(_response).where(_response.c.job_id == job_id)).mappings().one_or_none()
    return None if row is None else StoredResponse(**row)


def delete_response(engine: Engine, job_id: str) -> bool:
    """Delete the response of this job, not the job. Returns whether it was stored."""
    with writing(engine) as connection:
        return connection.execute(delete(_response).where(_response.c.job_id == job_id)).rowcount > 0
