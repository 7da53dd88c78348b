"""Uploads: ids and names for blobs. Several uploads may share a blob. The results of batches are listed among them."""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Engine, Table, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from jobs.errors import IdempotencyError, NotFoundError
from jobs.images.stored.safe_names import clean_label
from jobs.store.connection import reading, writing
from jobs.store.file_tables import STORED_FILE, StoredFile

_file: Table = STORED_FILE


class Uploads:
    """The table of uploads. Safe to use from several processes and threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        filename: str,
        sha256: str,
        size: int,
        purpose: str,
        key: str | None = None,
        *,
        expires_at: float | None = None,
    ) -> StoredFile:
        """Add an upload of a blob of `size` bytes that was put before. The file's name is stored as a clean label.

        The same `key` gives the same upload again, until it has expired. Raises IdempotencyError when the key was used for
        another name, purpose or other bytes.
        """
        stored = StoredFile(
            sha256=sha256,
            bytes=size,
            filename=clean_label(filename),
            purpose=purpose,
            idempotency_key=key,
            expires_at=expires_at,
        )
        try:
            with writing(self._engine) as connection:
                if key is not None:
                    # The row of an expired upload waits for the sweep, and must not keep its key.
                    connection.execute(delete(_file).where(_file.c.idempotency_key == key, ~_lives()))
                connection.execute(insert(_file).values(stored.model_dump()))
        except IntegrityError:
            return self._repeated(stored)
        return stored

    def _repeated(self, asked: StoredFile) -> StoredFile:
        with reading(self._engine) as connection:
            row = (
                connection.execute(select(_file).where(_file.c.idempotency_key == asked.idempotency_key))
                .mappings()
                .one()
            )
        earlier = StoredFile(**row)
        if (earlier.filename, earlier.sha256, earlier.purpose) != (asked.filename, asked.sha256, asked.purpose):
            raise IdempotencyError("This Idempotency-Key was used for another file. Use a new key for each file.")
        return earlier

    def get(self, file_id: str) -> StoredFile:
        """Find an upload. Raises NotFoundError, also when it has expired."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_file).where(_file.c.id == file_id, _lives())).mappings().one_or_none()
        if row is None:
            raise _not_found(file_id)
        return StoredFile(**row)

    def page(
        self, *, after: str | None = None, limit: int, purpose: str | None = None, oldest_first: bool = False
    ) -> list[StoredFile]:
        """List uploads, newest first, from the upload behind the id `after`, which may be deleted by now."""
        query = select(_file).where(_lives())
        if after is not None:
            # Ids sort by the time of their creation.
            query = query.where(_file.c.id > after if oldest_first else _file.c.id < after)
        if purpose is not None:
            query = query.where(_file.c.purpose == purpose)
        with reading(self._engine) as connection:
            order = _file.c.id if oldest_first else _file.c.id.desc()
            rows = connection.execute(query.order_by(order).limit(limit)).mappings()
            return [StoredFile(**row) for row in rows]

    def delete(self, file_id: str) -> None:
        """Delete an upload. Its blob stays until the sweep: jobs may need it. Raises NotFoundError."""
        with writing(self._engine) as connection:
            if not connection.execute(delete(_file).where(_file.c.id == file_id)).rowcount:
                raise _not_found(file_id)

    def delete_expired(self) -> int:
        """Delete the uploads that have expired. Returns how many."""
        with writing(self._engine) as connection:
            return connection.execute(delete(_file).where(~_lives())).rowcount


def _lives() -> ColumnElement[bool]:
    return or_(_file.c.expires_at.is_(None), _file.c.expires_at > time.time())


def _not_found(file_id: str) -> NotFoundError:
    shown = clean_label(file_id)
    return NotFoundError(f"There is no file '{shown}'. It was deleted or never uploaded; upload it again.")
