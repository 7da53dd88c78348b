"""The sweep of blobs that no upload, no open job and no open batch needs."""

from __future__ import annotations

import re

from sqlalchemy import Engine, Table, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.images.stored.blobs import SCHEME, blobs_before, remove_blob, remove_unfinished
from jobs.store.connection import reading
from jobs.store.file_batches.batch_tables import OPEN_BATCHES
from jobs.store.file_tables import STORED_FILE
from jobs.store.tables import OPEN

_DAY = 86_400.0
#: Seconds after which the writer of an unfinished blob is dead.
UNFINISHED_SECONDS = _DAY
#: Blobs that one statement looks up, and rows that one reading of the open jobs fetches at a time.
_ROWS_AT_A_TIME = 500
_REFERENCE = re.compile(rf"{re.escape(SCHEME)}([0-9a-f]{{64}})")

_job: Table = SQLModel.metadata.tables["job"]
_file: Table = STORED_FILE
_file_batch: Table = SQLModel.metadata.tables["file_batch"]


def sweep_blobs(engine: Engine, settings: Settings, now: float) -> int:
    """Remove blobs that no upload, open job or open batch refers to and that were put `keep_images_days` before `now` or earlier.

    `now` is in seconds since the epoch. Returns how many files were removed, including files that a killed process left half
    written. Other processes may put blobs and sweep meanwhile: a blob that is put again is young again, and stays.
    """
    before = now - settings.keep_images_days * _DAY
    # Before the rows are read: a blob is put before its row is written, so an old blob has its rows by now.
    old = set(blobs_before(before, settings))
    unused = old - _in_uploads(engine, old) - _in_open_jobs(engine, old) - _in_open_batches(engine)
    removed = sum(remove_blob(sha256, settings, before=before) for sha256 in unused)
    return removed + remove_unfinished(settings, before=now - UNFINISHED_SECONDS)


def _in_uploads(engine: Engine, blobs: set[str]) -> set[str]:
    used: set[str] = set()
    for chunk in chunked(sorted(blobs), _ROWS_AT_A_TIME):
        with reading(engine) as connection:
            used.update(connection.execute(select(_file.c.sha256).where(_file.c.sha256.in_(chunk))).scalars())
    return used


def _in_open_batches(engine: Engine) -> set[str]:
    """Return the blobs whose lines have not all become jobs. A client may have deleted the upload meanwhile."""
    query = select(_file_batch.c.input_sha256).where(_file_batch.c.status.in_(OPEN_BATCHES))
    with reading(engine) as connection:
        return set(connection.execute(query).scalars())


def _in_open_jobs(engine: Engine, blobs: set[str]) -> set[str]:
    """Find the blobs that open jobs refer to, in one pass over the jobs, however many blobs there are."""
    used: set[str] = set()
    if not blobs:
        return used
    query = select(_job.c.request).where(_job.c.status.in_(OPEN), _job.c.request.contains(SCHEME))
    with reading(engine) as connection:
        for request in connection.execute(query.execution_options(yield_per=_ROWS_AT_A_TIME)).scalars():
            used.update(blobs.intersection(_REFERENCE.findall(request)))
    return used
