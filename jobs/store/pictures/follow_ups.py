"""Jobs that ask about a picture of another job, and write no file: questions of a person, and the other side of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Column, Engine, ForeignKey, Index, String, Table, func, insert, select, update
from sqlmodel import Field, SQLModel

from jobs.store.connection import reading, writing
from jobs.store.queries.job_queries import as_job
from jobs.store.rows.table_row import TableRow
from jobs.store.tables import Job

#: Questions that a picture's page shows.
MOST_QUESTIONS = 50


class Side(StrEnum):
    """Side of a comparison that a person finds better."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"  #: as good as each other


class Comparison(TableRow, table=True):
    """Comparison: a batch that asks about pictures of another one again, with another prompt or model."""

    __tablename__ = "comparison"
    __table_args__ = (Index("comparison_base", "base_id"),)

    batch_id: str = Field(sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True))
    base_id: str = Field(sa_column=Column(String, ForeignKey("batch.id", ondelete="CASCADE"), nullable=False))


class FollowUp(TableRow, table=True):
    """Follow-up: a job about the picture of another job. One with a batch belongs to a comparison, one without is a question."""

    __tablename__ = "follow_up"
    __table_args__ = (Index("follow_up_about", "about_id"),)

    job_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True))
    about_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=False))
    #: A `Side`; None: no person has chosen.
    winner: str | None = None


_job: Table = SQLModel.metadata.tables["job"]
_comparison: Table = SQLModel.metadata.tables["comparison"]
_follow_up: Table = SQLModel.metadata.tables["follow_up"]


@dataclass(frozen=True)
class Pair:
    """The two answers about a picture."""

    first: Job
    second: Job
    winner: str | None


def add_follow_ups(engine: Engine, about: Iterable[tuple[Job, Job]]) -> None:
    """Store of each new job which job it follows: pairs of the new and the earlier one, at most some hundreds."""
    rows = [{"job_id": new.id, "about_id": earlier.id} for new, earlier in about]
    with writing(engine) as connection:
        connection.execute(insert(_follow_up), rows)


def add_comparison(engine: Engine, batch_id: str, base_id: str) -> None:
    """Store that a batch is compared with another one."""
    with writing(engine) as connection:
        connection.execute(insert(_comparison).values(batch_id=batch_id, base_id=base_id))


def questions_about(engine: Engine, job_id: str) -> list[Job]:
    """Return the newest questions about a job's picture, the oldest of them first."""
    query = select(_job).join(_follow_up, _follow_up.c.job_id == _job.c.id)
    query = query.where(_follow_up.c.about_id == job_id, _job.c.batch_id.is_(None))
    query = query.order_by(_job.c.created_at.desc(), _job.c.id.desc()).limit(MOST_QUESTIONS)
    with reading(engine) as connection:
        return [as_job(row, connection) for row in connection.execute(query).mappings()][::-1]


def base_of(engine: Engine, batch_id: str) -> str | None:
    """Return the id of the batch that this one is compared with; None: it is no comparison."""
    query = select(_comparison.c.base_id).where(_comparison.c.batch_id == batch_id)
    with reading(engine) as connection:
        return connection.execute(query).scalar()


def comparisons_of(engine: Engine, base_id: str) -> list[str]:
    """Return the ids of the batches that are compared with this one, the newest first."""
    query = select(_comparison.c.batch_id).where(_comparison.c.base_id == base_id)
    with reading(engine) as connection:
        return list(connection.execute(query.order_by(_comparison.c.batch_id.desc())).scalars())


def pairs_of(engine: Engine, second: Sequence[Job]) -> list[Pair]:
    """Return the pairs of these jobs of a comparison, in their order. Jobs whose first job was pruned are left out."""
    query = select(_follow_up).where(_follow_up.c.job_id.in_([job.id for job in second]))
    with reading(engine) as connection:
        followed = {row.job_id: row for row in connection.execute(query)}
        firsts = select(_job).where(_job.c.id.in_([row.about_id for row in followed.values()]))
        found = {row["id"]: as_job(row, connection) for row in connection.execute(firsts).mappings()}
    rows = ((job, followed.get(job.id)) for job in second)
    return [
        Pair(found[row.about_id], job, row.winner) for job, row in rows if row is not None and row.about_id in found
    ]


def tally(engine: Engine, batch_id: str) -> dict[Side, int]:
    """Count how often each side of a comparison won."""
    query = select(_follow_up.c.winner, func.count()).join(_job, _follow_up.c.job_id == _job.c.id)
    query = query.where(_job.c.batch_id == batch_id, _follow_up.c.winner.is_not(None)).group_by(_follow_up.c.winner)
    with reading(engine) as connection:
        counted = {Side(winner): count for winner, count in connection.execute(query)}
    return {side: counted.get(side, 0) for side in Side}


def choose_winner(engine: Engine, job_id: str, winner: Side | None) -> None:
    """Store which side a person finds better; None: the choice is taken back."""
    with writing(engine) as connection:
        connection.execute(update(_follow_up).where(_follow_up.c.job_id == job_id).values(winner=winner))
