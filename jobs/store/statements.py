"""Statements that the worker executes for every job, built once: building a statement takes longer than executing it.

Columns without an expression of their own are set to the parameters of the same name.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import BindParameter, Select, Table, Update, bindparam, exists, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import SQLModel

from jobs.store.tables import OPEN, JobStatus

#: Maximum number of rows that one statement names: far below SQLite's limit of 32,766 variables.
ROWS_A_STATEMENT = 500

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)

#: The columns whose words are searched (`jobs/store/pictures/search_words.py`).
SEARCHED = tuple(_job.c[name] for name in ("id", "batch_id", "source", "text", "output_text", "edited_text"))
#: The columns that decide when a job begins (`JobSummary`).
SUMMARY: Select[tuple[str, str, str, int]] = select(_job.c.id, _job.c.status, _job.c.model, _job.c.deaths).where(
    _job.c.id.in_(_ids)
)

_of_paused_batch = exists(select(_batch.c.id).where(_batch.c.id == _job.c.batch_id, _batch.c.paused_at.is_not(None)))

#: queued → running, unless the job's batch is paused; sets `status`, `worker` and `started_at`.
CLAIM: ReturningUpdate[tuple[object, ...]] = (
    update(_job)
    .where(_job.c.id.in_(_ids), _job.c.status == JobStatus.QUEUED, ~_of_paused_batch)
    .values(attempts=_job.c.attempts + 1, queue_seconds=bindparam("now") - _job.c.created_at)
    .returning(_job)
)


#: Moves the open job `job_id` to the batch `new_batch`, at the place `new_position`.
# `in_` has a list of parameters, which no statement for many rows can have.
MOVE: Update = (
    update(_job)
    .where(_job.c.id == bindparam("job_id"), or_(*(_job.c.status == status for status in OPEN)))
    .values(batch_id=bindparam("new_batch"), position=bindparam("new_position"))
)


@cache
def ending(leaving: tuple[JobStatus, ...], *, fenced: bool = False) -> ReturningUpdate[tuple[object, ...]]:
    """Build the UPDATE that ends the job `job_id`, and numbers it within its batch in the order of the ends.

    It returns the columns whose words are searched. `fenced`: only if the row's attempt and worker are the parameters
    `claimed_attempt` and `claimed_by`.
    """
    ended = _job.alias()
    last = select(func.coalesce(func.max(ended.c.finished_order), 0)).where(
        ended.c.batch_id == _job.c.batch_id, ended.c.finished_order.is_not(None)
    )
    claim = (_job.c.attempts == bindparam("claimed_attempt"), _job.c.worker == bindparam("claimed_by"))
    return (
        update(_job)
        .where(_job.c.id == bindparam("job_id"), _job.c.status.in_(leaving), *(claim if fenced else ()))
        .values(finished_order=last.correlate(_job).scalar_subquery() + 1)
        .returning(*SEARCHED)
    )
