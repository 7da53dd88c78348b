"""The record of the files that jobs changed. A change that was taken back no longer counts."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import Engine, Table, exists, insert, literal, select, tuple_, update
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.store.claims import Claim, check_claim
from jobs.store.connection import reading, writing
from jobs.store.file_tables import WRITTEN_FILE, WrittenFile
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
_file: Table = WRITTEN_FILE
#: Changes that are read at a time: each may hold a whole text.
CHANGES_A_PAGE = 100


class WrittenFiles:
    """Records changes of files, and finds them again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, change: WrittenFile, claim: Claim | None = None) -> None:
        """Store a change, before the file is touched.

        `claim`: of the worker that makes the change; None: no worker does. Raises ClaimLostError.
        """
        with writing(self._engine) as connection:
            check_claim(connection, claim)
            connection.execute(insert(_file).values(change.model_dump()))

    def check(self, claim: Claim | None) -> None:
        """Check, just before a file takes its name, that the worker may still write it. Raises ClaimLostError."""
        if claim is not None:
            with reading(self._engine) as connection:
                check_claim(connection, claim)

    def hashes(self, paths: Iterable[str]) -> dict[str, set[str]]:
        """Return the SHA-256 of all contents that captionq wrote to these files, by the files' addresses."""
        query = select(_file.c.path, _file.c.after_sha256)
        found: dict[str, set[str]] = {}
        with reading(self._engine) as connection:
            for chunk in chunked(paths, ROWS_A_STATEMENT):
                rows = connection.execute(query.where(_file.c.path.in_(chunk), _file.c.undone_at.is_(None)))
                for path, after in rows:
                    found.setdefault(path, set()).add(after)
        return found

    def kinds(self, job_id: str) -> set[str]:
        """Return the kinds of the files that a job has written and that were not taken back."""
        query = select(_file.c.kind).where(_file.c.job_id == job_id, _file.c.undone_at.is_(None))
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def finished(self, paths: Iterable[str]) -> set[str]:
        """Return the addresses, out of these, of the files that jobs wrote which succeeded."""
        query = select(_file.c.path).join(_job).where(_job.c.status == JobStatus.SUCCEEDED, _file.c.undone_at.is_(None))
        found: set[str] = set()
        with reading(self._engine) as connection:
            for chunk in chunked(paths, ROWS_A_STATEMENT):
                found.update(connection.execute(query.where(_file.c.path.in_(chunk))).scalars())
        return found

    def newest_run(self) -> str | None:
        """Return the id of the newest batch that changed files and was not undone; None: there is none."""
        changed = select(_file.c.id).where(_file.c.job_id == _job.c.id, _file.c.undone_at.is_(None))
        has_changes = exists(select(_job.c.id).where(_job.c.batch_id == _batch.c.id, exists(changed)))
        query = select(_batch.c.id).where(has_changes).order_by(_batch.c.created_at.desc(), _batch.c.id.desc())
        with reading(self._engine) as connection:
            return connection.execute(query.limit(1)).scalar()

    def page(self, batch_id: str, before: WrittenFile | None = None) -> list[WrittenFile]:
        """Return changes of the batch's jobs that were not taken back, the newest first.

        `before`: only changes that came before this one.
        """
        order = (_file.c.written_at, _file.c.id)
        query = select(_file).join(_job).where(_job.c.batch_id == batch_id, _file.c.undone_at.is_(None))
        if before is not None:
            query = query.where(tuple_(*order) < tuple_(literal(before.written_at), literal(before.id)))
        query = query.order_by(*(column.desc() for column in order)).limit(CHANGES_A_PAGE)
        with reading(self._engine) as connection:
            return [WrittenFile(**row) for row in connection.execute(query).mappings()]

    def close(self, change: WrittenFile) -> None:
        """Mark a change as taken back."""
        with writing(self._engine) as connection:
            connection.execute(update(_file).where(_file.c.id == change.id).values(undone_at=time.time()))
