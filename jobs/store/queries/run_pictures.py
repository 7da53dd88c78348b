"""The pictures of a run in an order, chosen by their state and by words in their captions and names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode

from sqlalchemy import ColumnElement, Engine, Table, and_, exists, or_, select, true
from sqlmodel import SQLModel

from jobs.store.connection import reading
from jobs.store.queries.needs_review import needs_a_person
from jobs.store.tables import JobStatus

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
    #: Words that the caption or the name contains; empty: any.
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
    query = select(_job.c.id).where(_job.c.batch_id == batch_id, _shown(choice.show), _matching(choice.search))
    by_name = (_job.c.source, _job.c.id)
    by_end = (_job.c.finished_order.is_(None), _job.c.finished_order.desc())
    order = by_name if choice.sort is Sort.NAME else (*by_end, *by_name)
    with reading(engine) as connection:
        return list(connection.execute(query.order_by(*order)).scalars())


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


def _matching(search: str) -> ColumnElement[bool]:
    """Build the condition that each of the words stands in the caption or in the name."""
    return and_(true(), *(_holds(word) for word in search.split()))


def _holds(word: str) -> ColumnElement[bool]:
    in_texts = [_job.c[name].icontains(word, autoescape=True) for name in ("text", "output_text", "edited_text")]
    # Names are stored as addresses.
    return or_(*in_texts, _job.c.source.icontains(quote(word), autoescape=True))
