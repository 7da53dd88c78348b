"""Statements that the worker executes for every job, built once: building a statement takes longer than executing it.

Columns without an expression of their own are set to the parameters of the same name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Connection,
    Float,
    Select,
    Table,
    Text,
    Update,
    any_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import SQLModel

from jobs.store.tables import OPEN, JobStatus

#: Maximum number of rows that one statement names: far below SQLite's limit of 32,766 variables.
ROWS_A_STATEMENT = 500

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)

#: On SQLite: the files of `outputs_parameter`, a row each.
EACH_OUTPUT = func.json_each(bindparam("outputs", type_=Text)).table_valued("value")
_HAS_OUTPUT: dict[str, ColumnElement[bool]] = {
    "sqlite": _job.c.output.in_(select(EACH_OUTPUT.c.value)),
    "postgresql": _job.c.output == any_(bindparam("outputs", type_=ARRAY(Text))),
}

#: The columns whose words are searched (`jobs/store/pictures/search_words.py`).
SEARCHED = tuple(_job.c[name] for name in ("id", "batch_id", "source", "text", "output_text", "edited_text"))
#: The columns that decide when a job begins (`JobSummary`).
SUMMARY: Select[tuple[str, str, str, int]] = select(_job.c.id, _job.c.status, _job.c.model, _job.c.deaths).where(
    _job.c.id.in_(_ids)
)
#: The columns that say who runs a job (`jobs/store/claims.py`).
CLAIMS = select(_job.c.id, _job.c.status, _job.c.attempts, _job.c.worker).where(_job.c.id.in_(_ids))

_of_paused_batch = exists(select(_batch.c.id).where(_batch.c.id == _job.c.batch_id, _batch.c.paused_at.is_not(None)))

#: A clock that was set back between the two times does not make the time in the queue negative.
_waited = bindparam("now", type_=Float) - _job.c.created_at
_queue_seconds = case((_waited > 0, _waited), else_=0.0)
#: queued → running, unless the job's batch is paused; sets `status`, `worker` and `started_at`.
CLAIM: ReturningUpdate[tuple[object, ...]] = (
    update(_job)
    .where(_job.c.id.in_(_ids), _job.c.status == JobStatus.QUEUED, ~_of_paused_batch)
    .values(attempts=_job.c.attempts + 1, queue_seconds=_queue_seconds)
    .returning(_job)
)


#: Moves the open job `job_id` to the batch `new_batch`, at the place `new_position`.
# `in_` has a list of parameters, which no statement for many rows can have.
MOVE: Update = (
    update(_job)
    .where(_job.c.id == bindparam("job_id"), or_(*(_job.c.status == status for status in OPEN)))
    .values(batch_id=bindparam("new_batch"), position=bindparam("new_position"))
)


def has_output(connection: Connection) -> ColumnElement[bool]:
    """Return the condition that a job writes one of the files of `outputs_parameter`."""
    return _HAS_OUTPUT[connection.dialect.name]


def outputs_parameter(connection: Connection, outputs: Sequence[str]) -> dict[str, object]:
    """Return files, by address, as one parameter: hundreds of parameters take longer than the search."""
    return {"outputs": json.dumps(outputs) if connection.dialect.name == "sqlite" else list(outputs)}


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
