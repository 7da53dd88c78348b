"""Pages of the list of jobs, each read by an index, however many jobs there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Select, Table, and_, false, literal, or_, select, union_all
from sqlmodel import SQLModel

from jobs.store.queries.needs_review import needs_a_person
from jobs.store.tables import Job, JobStatus

_job: Table = SQLModel.metadata.tables["job"]


def page_of_jobs(
    batch_id: str | None,
    statuses: Sequence[JobStatus],
    limit: int | None,
    *,
    newest_first: bool,
    after: Job | None,
    needs_review: bool,
) -> Select[tuple[object, ...]]:
    """Build the query of a page; see `JobQueries.jobs`.

    An index has the jobs of one status in the order of their creation. So the first jobs of each status are found, and the first
    of those are the page.
    """
    order = [column.desc() if newest_first else column for column in (_job.c.created_at, _job.c.id)]
    conditions = [] if after is None else [_is_beyond(after, newest_first=newest_first)]
    if needs_review:
        conditions.append(needs_a_person())
    if batch_id is not None:
        # Few answers need a review. The operator keeps SQLite from the index that leads to all jobs of the batch.
        conditions.append((_job.c.batch_id + "" if needs_review else _job.c.batch_id) == batch_id)
    parts = [
        select(select(_job.c.id).where(one, *conditions).order_by(*order).limit(limit).subquery())
        for one in _by_status(statuses or list(JobStatus), needs_review=needs_review)
    ]
    if not parts:
        return select(_job).where(false())
    return select(_job).where(_job.c.id.in_(union_all(*parts))).order_by(*order).limit(limit)


def _by_status(statuses: Sequence[JobStatus], *, needs_review: bool) -> Iterator[ColumnElement[bool]]:
    for status in set(statuses):
        # Of jobs that need a review, a part of the condition is said again for its index.
        if not needs_review:
            yield _job.c.status == status
        elif status == JobStatus.SUCCEEDED:
            yield and_(_job.c.status == status, _job.c.quality.is_not(None))
        elif status == JobStatus.FAILED:
            yield and_(_job.c.status == status, _job.c.error_code.is_not(None), _job.c.finish_reason.is_not(None))


def _is_beyond(after: Job, *, newest_first: bool) -> ColumnElement[bool]:
    created_at, job_id = literal(after.created_at), literal(after.id)
    if newest_first:
        return and_(_job.c.created_at <= created_at, or_(_job.c.created_at < created_at, _job.c.id < job_id))
    return and_(_job.c.created_at >= created_at, or_(_job.c.created_at > created_at, _job.c.id > job_id))
