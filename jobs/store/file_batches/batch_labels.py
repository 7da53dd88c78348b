"""The names of batches whose requests are the lines of a file, and the numbers of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from jobs.chunks import chunked
from jobs.store.connection import reading
from jobs.store.file_batches.batch_tables import FileBatch
from jobs.store.file_tables import STORED_FILE
from jobs.store.statements import ROWS_A_STATEMENT

_file_batch = FileBatch.metadata.tables["file_batch"]


@dataclass(frozen=True)
class BatchLabel:
    """Name and size of a batch."""

    #: The name of the uploaded file; None: there was no upload, or it was deleted.
    file: str | None
    #: Number of lines with requests; 0: not counted yet.
    lines: int


def batch_labels(engine: Engine, ids: Sequence[str]) -> dict[str, BatchLabel]:
    """Return the labels of these batches by id. Batches without a file of requests are left out."""
    both = _file_batch.outerjoin(STORED_FILE, STORED_FILE.c.id == _file_batch.c.input_file_id)
    query = select(_file_batch.c.id, STORED_FILE.c.filename, _file_batch.c.total).select_from(both)
    found: dict[str, BatchLabel] = {}
    with reading(engine) as connection:
        for chunk in chunked(ids, ROWS_A_STATEMENT):
            rows = connection.execute(query.where(_file_batch.c.id.in_(chunk)))
            found |= {row.id: BatchLabel(row.filename, row.total) for row in rows}
    return found
