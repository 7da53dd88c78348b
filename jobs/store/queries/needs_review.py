"""The condition of answers that need a person: flawed ones, and answers of failed jobs.

Flaws are found by `worker/engine/answer_quality.py` and `worker/dispatch/outcomes/quality_gate.py`.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_, exists, or_, select
from sqlmodel import SQLModel

from jobs.store.tables import BatchKind, JobStatus

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]


def needs_a_person() -> ColumnElement[bool]:
    """Build the condition. A job needs no review any more when a newer job has succeeded with the same file.

    Chat completions never need one: their clients have their answers.
    """
    newer = _job.alias()
    superseded = exists(
        select(newer.c.id).where(
            newer.c.output == _job.c.output,
            newer.c.created_at > _job.c.created_at,
            # The operator keeps SQLite from the index on the status, which leads to all jobs that succeeded.
            newer.c.status + "" == JobStatus.SUCCEEDED,
        )
    )
    folders = select(_batch.c.id).where(_batch.c.kind == BatchKind.FOLDER)
    flawed = and_(_job.c.status == JobStatus.SUCCEEDED, _job.c.quality.is_not(None))
    # Without a finish reason, the text is that of an attempt that did not end.
    failed = and_(_job.c.status == JobStatus.FAILED, _job.c.text.is_not(None), _job.c.finish_reason.is_not(None))
    return and_(
        or_(flawed, failed),
        _job.c.reviewed_at.is_(None),
        or_(_job.c.output.is_not(None), _job.c.batch_id.in_(folders)),
        ~superseded,
    )
