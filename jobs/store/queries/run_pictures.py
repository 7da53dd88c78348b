"""The pictures of a run in an order, chosen by their state and by words in their captions and names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Engine, Table, exists, select, true, union_all
from sqlmodel import SQLModel

from jobs.store.connection import reading
from jobs.store.pictures.search import found_ids
from jobs.store.queries.caption_runs import in_order
from jobs.store.queries.needs_review import needs_a_person
from jobs.store.tables import OPEN, Job, JobStatus

_job: Table = SQLModel.metadata.tables["job"]


class Show(StrEnum):
    """Choice of pictures by the state of their jobs."""

    ALL = "all"
    FAILED = "failed"
    REVIEW = "review"  #: a person should look at the answer
    CACHED = "cached"  #: the answer is an earlier job's
    DUPLICATE = "duplicate"  #: cached, and the earlier job is of the same run
    EDITED = "edited"  #: by a person


class Sort(StrEnum):
    """Order of the pictures."""

    NAME = "name"
    LATEST = "latest"  #: the job that ended last comes first; open jobs come last


@dataclass(frozen=True)
class PictureChoice:
    """Choice and order of a run's pictures."""

    show: Show = Show.ALL
    sort: Sort = Sort.NAME
    #: Words that the caption or the name holds (`jobs/store/pictures/search.py`); empty: any.
    search: str = ""

    @property
    def query(self) -> str:
        """The choice as the query of an address; empty: the defaults."""
        return self._encoded({})

    def link(self, **changed: object) -> str:
        """Return the address, relative to the run's, of this choice with changes."""
        return f"?{self._encoded(changed)}"

    def _encoded(self, changed: dict[str, object]) -> str:
        values = {"show": self.show, "sort": self.sort, "search": self.search, "at": 0} | changed
        defaults = {"show": Show.ALL, "sort": Sort.NAME, "search": "", "at": 0}
        return urlencode({name: str(value) for name, value in values.items() if value != defaults[name]})


def picture_ids(engine: Engine, batch_id: str, choice: PictureChoice) -> list[str]:
    """Return the ids of the chosen jobs of a run, in order. Only ids: rows hold whole texts."""
    by_name = (_job.c.source, _job.c.id)
    by_end = (_job.c.finished_order.is_(None), _job.c.finished_order.desc())
    order = by_name if choice.sort is Sort.NAME else (*by_end, *by_name)
    with reading(engine) as connection:
        query = select(_job.c.id).where(_job.c.batch_id == batch_id)
        if (found := _found(connection, batch_id, choice.search)) is not None:
            # With an operator, so that SQLite goes from the found ids to their jobs, and not through all jobs of the run.
            query = select(_job.c.id).where(_job.c.batch_id + "" == batch_id, _job.c.id.in_(found))
        return list(connection.execute(query.where(_shown(choice.show)).order_by(*order)).scalars())


def chosen_jobs(engine: Engine, batch_id: str, choice: PictureChoice) -> Iterator[Job]:
    """Yield the chosen jobs of a run, in order."""
    return in_order(engine, picture_ids(engine, batch_id, choice))


def _found(connection: Connection, batch_id: str, search: str) -> CompoundSelect[tuple[str]] | None:
    """Build the SELECT of the jobs that a search finds; None: there is nothing to search for.

    Jobs that have no caption may have no words in the index: parts of their names are found.
    """
    ended = found_ids(connection, search)
    if ended is None:
        return None
    # Names are stored as addresses.
    names = (_job.c.source.icontains(quote(word), autoescape=True) for word in search.replace('"', " ").split())
    wordless = select(_job.c.id).where(
        _job.c.batch_id == batch_id, _job.c.status.in_((*OPEN, JobStatus.CANCELLED)), *names
    )
    return union_all(ended, wordless)


def _shown(show: Show) -> ColumnElement[bool]:
    match show:
        case Show.ALL:
            return true()
        case Show.FAILED:
            return _job.c.status == JobStatus.FAILED
        case Show.REVIEW:
            return needs_a_person()
        case Show.CACHED:
            return _job.c.cached
        case Show.EDITED:
            return _job.c.edited_text.is_not(None)
        case Show.DUPLICATE:
            other = _job.alias()
            same = (other.c.cache_key == _job.c.cache_key, other.c.batch_id == _job.c.batch_id)
            return _job.c.cached & exists(select(other.c.id).where(*same, other.c.id != _job.c.id))
