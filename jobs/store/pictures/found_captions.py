"""Captions of all runs that a search finds, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, Table, func, select
from sqlmodel import SQLModel

from jobs.store.connection import reading
from jobs.store.pictures.search import found_ids
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]
#: Rows that are read by one statement. No statement is open while the caller looks at them.
_PAGE = 200


@dataclass(frozen=True)
class FoundCaption:
    """A picture and its caption."""

    #: The address of the image.
    source: str
    text: str
    batch_id: str


def found_captions(engine: Engine, search: str) -> Iterator[FoundCaption]:
    """Yield the captions whose words, or those of whose names, the search finds; a person's words count before the model's."""
    start = 0
    while page := _page(engine, search, start):
        yield from page
        start += _PAGE


def _page(engine: Engine, search: str, start: int) -> list[FoundCaption]:
    with reading(engine) as connection:
        if (found := found_ids(connection, search)) is None:
            return []
        text = func.coalesce(_job.c.edited_text, _job.c.text)
        query = (
            select(_job.c.source, text, _job.c.batch_id)
            .where(_job.c.id.in_(found), _job.c.status == JobStatus.SUCCEEDED, _job.c.source.is_not(None))
            .order_by(_job.c.finished_at.desc(), _job.c.id.desc())
        )
        rows = connection.execute(query.limit(_PAGE).offset(start)).all()
    return [FoundCaption(source, words or "", batch_id) for source, words, batch_id in rows]
