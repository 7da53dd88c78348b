"""Rows of file batches: every change of a batch's state is one guarded UPDATE in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, select, update
from sqlmodel import SQLModel

from jobs.errors import NotFoundError
from jobs.safe_text import safe_text
from jobs.store.connection import reading, writing
from jobs.store.file_batches.batch_tables import OPEN_BATCHES, FileBatch, FileBatchStatus, ResultPart
from jobs.store.file_batches.result_files import add_result_files, measure_result_files
from jobs.store.tables import Batch
from jobs.store.webhooks.webhook_rows import add_webhooks
from jobs.store.webhooks.webhook_table import Webhook

_batch: Table = SQLModel.metadata.tables["batch"]
_file_batch: Table = SQLModel.metadata.tables["file_batch"]


class FileBatches:
    """Table of file batches. Safe to use from several processes and threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, batch: Batch, file_batch: FileBatch) -> None:
        """Insert a batch that is to be validated. Raises IntegrityError if its idempotency key is taken."""
        with writing(self._engine) as connection:
            connection.execute(insert(_batch).values(batch.model_dump()))
            connection.execute(insert(_file_batch).values(file_batch.model_dump()))

    def get(self, batch_id: str, dialect: str = "openai") -> FileBatch:
        """Return a batch. Raises NotFoundError."""
        query = select(_file_batch).where(_file_batch.c.id == batch_id, _file_batch.c.dialect == dialect)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"Batch '{safe_text(batch_id)}' does not exist. GET /v1/batches lists all batches.")
        return FileBatch(**row)

    def page(
        self, *, after: str | None = None, before: str | None = None, limit: int, dialect: str = "openai"
    ) -> list[FileBatch]:
        """List batches, newest first: those behind the id `after`, or the last ones ahead of the id `before`."""
        query = select(_file_batch).where(_file_batch.c.dialect == dialect)
        # Ids sort by the time of their creation.
        if after is not None:
            query = query.where(_file_batch.c.id < after)
        if before is not None:
            query = query.where(_file_batch.c.id > before)
        order = _file_batch.c.id.desc() if before is None else _file_batch.c.id
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(order).limit(limit)).mappings()
            page = [FileBatch(**row) for row in rows]
        return page if before is None else page[::-1]

    def open(self) -> list[FileBatch]:
        """Return the batches that have not ended, the oldest first."""
        query = select(_file_batch).where(_file_batch.c.status.in_(OPEN_BATCHES)).order_by(_file_batch.c.id)
        with reading(self._engine) as connection:
            return [FileBatch(**row) for row in connection.execute(query).mappings()]

    # -- changes of a batch's state; each returns False if the batch had left the state ---------------

    def begin(self, batch: FileBatch, *, total: int, model: str) -> bool:
        """Note that the file is valid: validating → in_progress. The files of results exist from now on."""
        values = {"total": total, "model": model, "in_progress_at": time.time()}
        with writing(self._engine) as connection:
            if not _change(connection, batch.id, [FileBatchStatus.VALIDATING], FileBatchStatus.IN_PROGRESS, **values):
                return False
            connection.execute(update(_batch).where(_batch.c.id == batch.id).values(model=model))
            add_result_files(connection, batch.id)
            return True

    def fail(self, batch: FileBatch, errors: Sequence[dict[str, Any]]) -> bool:
        """Note the flaws of a file that is not valid: validating → failed."""
        values = {"errors": json.dumps(errors, ensure_ascii=False), "failed_at": time.time()}
        with writing(self._engine) as connection:
            if not _change(connection, batch.id, [FileBatchStatus.VALIDATING], FileBatchStatus.FAILED, **values):
                return False
            _close(connection, batch)
            return True

    def wind_down(self, batch_id: str, ending: FileBatchStatus) -> bool:
        """Let no further line become a job: validating or in_progress → finalizing, or → cancelling for a cancel."""
        cancels = ending == FileBatchStatus.CANCELLED
        status = FileBatchStatus.CANCELLING if cancels else FileBatchStatus.FINALIZING
        leaving = [FileBatchStatus.VALIDATING, FileBatchStatus.IN_PROGRESS]
        values = {"ending": ending, f"{status}_at": time.time()}
        with writing(self._engine) as connection:
            return _change(connection, batch_id, leaving, status, **values)

    def end(self, batch: FileBatch, tally: str, sizes: dict[ResultPart, int]) -> bool:
        """Note the end: finalizing or cancelling → completed, expired or cancelled. Its webhook is due from now on.

        Args:
            tally: the `Tally` as JSON.
            sizes: bytes of the files of results. Empty files are removed.
        """
        assert batch.ending is not None
        ended_at = time.time()
        leaving = [FileBatchStatus.FINALIZING, FileBatchStatus.CANCELLING]
        values = {"tally": tally, f"{batch.ending}_at": ended_at}
        with writing(self._engine) as connection:
            if not _change(connection, batch.id, leaving, FileBatchStatus(batch.ending), **values):
                return False
            kept = None if batch.results_kept is None else ended_at + batch.results_kept
            measure_result_files(connection, batch.id, sizes, expires_at=kept)
            _close(connection, batch)
            return True


def has_status(connection: Connection, batch_id: str, status: str) -> bool:
    """Return whether a batch has this status, in a transaction that adds lines to the batch."""
    found = connection.execute(select(_file_batch.c.status).where(_file_batch.c.id == batch_id)).scalar()
    return found == status


def _change(
    connection: Connection, batch_id: str, leaving: Sequence[FileBatchStatus], status: FileBatchStatus, **values: object
) -> bool:
    guard = (_file_batch.c.id == batch_id) & _file_batch.c.status.in_(leaving)
    return connection.execute(update(_file_batch).where(guard).values(status=status, **values)).rowcount == 1


def _close(connection: Connection, batch: FileBatch) -> None:
    """Let the batch be pruned from now on, and its receiver be told."""
    connection.execute(update(_batch).where(_batch.c.id == batch.id).values(complete=True))
    if batch.webhook is not None:
        add_webhooks(connection, [Webhook(url=batch.webhook, batch_id=batch.id)])
