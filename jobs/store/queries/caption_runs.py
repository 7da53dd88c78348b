"""The runs that caption image files, and the newest job of each image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import ColumnElement, Engine, Table, case, exists, func, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.store.connection import reading
from jobs.store.queries.job_queries import as_job
from jobs.store.statements import ROWS_A_STATEMENT, has_output, outputs_parameter
from jobs.store.tables import OPEN, Job, JobStatus

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
#: Of two jobs about an image, the one that succeeded is the better; of two such jobs, the newer, whose id is greater.
_BEST = func.max(case((_job.c.status == JobStatus.SUCCEEDED, "1"), else_="0") + _job.c.id)


def newest_caption_run(engine: Engine) -> str | None:
    """Return the id of the newest batch whose jobs have text files; None: there is none."""
    captions = exists(select(_job.c.id).where(_job.c.batch_id == _batch.c.id, _job.c.output.is_not(None)))
    query = select(_batch.c.id).where(captions).order_by(_batch.c.created_at.desc(), _batch.c.id.desc()).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).scalar()


def best_jobs(engine: Engine) -> Iterator[Job]:
    """Yield for each image that captionq was asked to caption its best job, by the addresses of the texts."""
    query = select(_BEST).where(_job.c.output.is_not(None)).group_by(_job.c.output).order_by(_job.c.output)
    with reading(engine) as connection:
        ids = [marked[1:] for marked in connection.execute(query).scalars()]
    return in_order(engine, ids)


def open_texts(engine: Engine, batch_ids: Collection[str]) -> dict[str, str]:
    """Return the texts that open jobs of these batches will write, by the addresses of the images."""
    query = select(_job.c.source, _job.c.output).where(
        _job.c.status.in_(OPEN), _job.c.source.is_not(None), _job.c.output.is_not(None)
    )
    texts: dict[str, str] = {}
    for chunk in chunked(batch_ids, ROWS_A_STATEMENT):
        with reading(engine) as connection:
            rows = connection.execute(query.where(_job.c.batch_id.in_(chunk)))
            texts.update((row.source, row.output) for row in rows)
    return texts


def in_order(engine: Engine, ids: Iterable[str]) -> Iterator[Job]:
    """Yield the jobs in the order of their ids here. Between two pages no view is held."""
    for chunk in chunked(ids, ROWS_A_STATEMENT):
        with reading(engine) as connection:
            rows = connection.execute(select(_job).where(_job.c.id.in_(chunk)))
            found = {row["id"]: as_job(row, connection) for row in rows.mappings()}
        # A job may have been pruned meanwhile.
        yield from (found[job_id] for job_id in chunk if job_id in found)


def best_jobs_of(engine: Engine, outputs: Sequence[str]) -> dict[str, Job]:
    """Return the best jobs of these images, by the addresses of the texts: at most some hundreds."""
    return _jobs_of(engine, outputs, func.substr(_BEST, 2))


def newest_jobs_of(engine: Engine, outputs: Sequence[str]) -> dict[str, Job]:
    """Return the newest jobs of these images, whatever their ends, by the addresses of the texts: at most some hundreds."""
    return _jobs_of(engine, outputs, func.max(_job.c.id))


def _jobs_of(engine: Engine, outputs: Sequence[str], chosen: ColumnElement[str]) -> dict[str, Job]:
    """Return one job of each of these images. `chosen`: computes its id of the jobs of an image."""
    with reading(engine) as connection:
        query = select(chosen).where(has_output(connection)).group_by(_job.c.output)
        ids = connection.execute(query, outputs_parameter(connection, outputs)).scalars().all()
        rows = connection.execute(select(_job).where(_job.c.id.in_(ids))).mappings()
        return {row["output"]: as_job(row, connection) for row in rows}
