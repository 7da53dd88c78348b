"""Rows of the files that hold a batch's results. They have no bytes of their own: the lines are rendered when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, Table, delete, insert, select, update
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.store.connection import reading
from jobs.store.file_batches.batch_tables import ResultPart
from jobs.store.file_tables import StoredFile
from jobs.store.statements import ROWS_A_STATEMENT

PURPOSE = "batch_output"

_file: Table = SQLModel.metadata.tables["stored_file"]


def add_result_files(connection: Connection, batch_id: str) -> None:
    """Add a file for the answers of a batch, and one for the errors."""
    files = [
        StoredFile(bytes=0, filename=f"{batch_id}_{part}.jsonl", purpose=PURPOSE, batch_id=batch_id, part=part)
        for part in ResultPart
    ]
    connection.execute(insert(_file), [file.model_dump() for file in files])


def measure_result_files(
    connection: Connection, batch_id: str, sizes: Mapping[ResultPart, int], *, expires_at: float | None
) -> None:
    """Store the bytes of an ended batch's files and when they are deleted; remove the empty ones."""
    for part, size in sizes.items():
        here = (_file.c.batch_id == batch_id) & (_file.c.part == part)
        if size:
            connection.execute(update(_file).where(here).values(bytes=size, expires_at=expires_at))
        else:
            connection.execute(delete(_file).where(here))


def result_files(engine: Engine, batch_ids: Sequence[str]) -> dict[str, dict[ResultPart, str]]:
    """Return the ids of the files of results of these batches, by batch and part. Deleted files are left out."""
    found: dict[str, dict[ResultPart, str]] = {batch_id: {} for batch_id in batch_ids}
    query = select(_file.c.batch_id, _file.c.part, _file.c.id)
    with reading(engine) as connection:
        for ids in chunked(batch_ids, ROWS_A_STATEMENT):
            for batch_id, part, file_id in connection.execute(query.where(_file.c.batch_id.in_(ids))):
                found[batch_id][ResultPart(part)] = file_id
    return found
