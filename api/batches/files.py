"""Files on their way out: uploads, and the results of batches, which are rendered when they are read."""

from __future__ import annotations

from collections.abc import Iterator

from api.batches.endpoints import result_pages
from api.runtime.resources import Resources
from api.schemas.file import FileObject
from jobs.store.file_batches.batch_tables import ResultPart
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.file_tables import StoredFile


def file_object(file: StoredFile, resources: Resources) -> FileObject:
    """Return the public object of a row."""
    return FileObject(
        id=file.id,
        bytes=_size_of(file, resources),
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
        expires_at=None if file.expires_at is None else int(file.expires_at),
    )


def results_of(file: StoredFile, resources: Resources) -> Iterator[bytes]:
    """Yield the results of a batch that a file without bytes of its own stands for."""
    assert file.batch_id is not None
    assert file.part is not None
    batch = resources.batches.get(file.batch_id)
    return result_pages(batch, ResultPart(file.part), FileLines(resources.store.engine))


def _size_of(file: StoredFile, resources: Resources) -> int:
    if file.sha256 is not None or file.bytes:
        return file.bytes
    return sum(map(len, results_of(file, resources)))
