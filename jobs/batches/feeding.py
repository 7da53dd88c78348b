"""Lines become jobs, a window at a time, so that the database does not hold a file's requests twice.

From the rows of these jobs to the lane: `jobs/queue/feeding.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from redis import Redis

from jobs.batches.lines import Line, parse_line, read_lines
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.images.stored.blobs import blob_address, find_blob
from jobs.queue.feeding import enqueue
from jobs.store.file_batches.batch_tables import FileBatch, FileLine
from jobs.store.file_batches.file_lines import FileLines, Place
from jobs.store.queries.waiting_rows import count_waiting
from jobs.store.store import Store
from jobs.store.tables import Job, Lane

#: Jobs of a batch that wait or run at the same time, and the least number of free places that is worth a look at the file.
WINDOW = 1000
WORTHWHILE = 250
#: Lines that become jobs in one transaction.
LINES_A_TRANSACTION = 100
#: Lines that are closed in one transaction: they need no jobs.
CLOSED_A_TRANSACTION = 1000


@dataclass(frozen=True)
class LineResponse:
    """The answer to the request of a line."""

    status: int
    body: dict[str, Any]


#: Function that makes the job of a line's body for an endpoint, not yet stored, or the answer to a request that cannot be served.
MakeJob = Callable[[str, dict[str, Any]], Job | LineResponse]


class Feeder:
    """Gives the lines of batches their turn, in the order of the file. Several processes may feed one batch."""

    def __init__(self, store: Store, connection: Redis, settings: Settings, make_job: MakeJob) -> None:
        self._store = store
        self._lines = FileLines(store.engine)
        self._connection = connection
        self._settings = settings
        self._make_job = make_job

    def feed(self, batch: FileBatch) -> bool:
        """Fill the window of a batch that is in progress. Returns whether no line is left. Raises RedisError."""
        room = self._room(batch)
        place = self._lines.place(batch.id)
        with closing(self._read(batch, place)) as unread:
            for chunk in chunked(islice(unread, room), LINES_A_TRANSACTION):
                if not self._queue(batch, chunk, place):
                    return False
                place = Place(chunk[-1].number, chunk[-1].end_offset)
            return next(unread, None) is None

    def close(self, batch: FileBatch) -> None:
        """Give the lines that are left their turn without jobs: the batch has expired or was cancelled."""
        place = self._lines.place(batch.id)
        with closing(self._read(batch, place)) as unread:
            for chunk in chunked(unread, CLOSED_A_TRANSACTION):
                rows = [self._row(batch, line, parse_line(line, batch.endpoint).custom_id) for line in chunk]
                if not self._lines.add(batch, rows, [], after=place):
                    return
                place = Place(chunk[-1].number, chunk[-1].end_offset)

    def _queue(self, batch: FileBatch, lines: list[Line], place: Place) -> bool:
        """Store the rows of these lines and their jobs, then enqueue the jobs. Returns False if the batch has moved on."""
        rows: list[FileLine] = []
        jobs: list[Job] = []
        for line in lines:
            request = parse_line(line, batch.endpoint)
            made = self._make_job(batch.endpoint, request.body)
            if isinstance(made, LineResponse):
                refusal = json.dumps({"status": made.status, "body": made.body})
                rows.append(self._row(batch, line, request.custom_id, refusal=refusal))
            else:
                made.batch_id = batch.id
                rows.append(self._row(batch, line, request.custom_id, job_id=made.id))
                jobs.append(made)
        if not self._lines.add(batch, rows, jobs, after=place):
            return False
        enqueue(self._store, self._connection, Lane.BULK, [job.id for job in jobs])
        return True

    def _row(self, batch: FileBatch, line: Line, custom_id: str, **values: Any) -> FileLine:
        return FileLine(
            batch_id=batch.id,
            number=line.number,
            end_offset=line.end_offset,
            custom_id=json.dumps(custom_id),
            **values,
        )

    def _read(self, batch: FileBatch, place: Place) -> Generator[Line, None, None]:
        with open_file(batch, self._settings) as file:
            # Every line was checked when the file came: a limit that was lowered since must not stop the batch.
            longest = os.fstat(file.fileno()).st_size
            yield from read_lines(file, longest=longest, number=place.number, offset=place.offset)

    def _room(self, batch: FileBatch) -> int:
        """Return the number of lines that may become jobs now."""
        free = WINDOW - self._lines.count_open(batch.id)
        if free < WORTHWHILE:
            return 0
        return max(0, min(free, self._settings.max_waiting_bulk - count_waiting(self._store.engine, Lane.BULK)))


def open_file(batch: FileBatch, settings: Settings) -> BinaryIO:
    """Open the file of a batch. Raises ImageNotFoundError if its bytes were removed."""
    return find_blob(blob_address(batch.input_sha256), settings).open("rb")
