"""The life of a batch: validated, fed, wound down, ended. Every step can be repeated, by any process, after any death."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from redis import Redis

from jobs.batches.feeding import Feeder, MakeJob, open_file
from jobs.batches.lines import LineFlaw
from jobs.batches.validation import FileLimits, ResolveModel, check_file
from jobs.configuration.settings import Settings
from jobs.creation import cancel
from jobs.errors import DamagedBlobError, ImageNotFoundError
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus, ResultPart
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.file_batches.file_lines import FileLines, Tally
from jobs.store.store import Store

logger = logging.getLogger("captionq.batches")


@dataclass(frozen=True)
class LineDialect:
    """The part of batches that belongs to an API: bodies of requests and of answers."""

    resolve_model: ResolveModel
    make_job: MakeJob
    #: Renders the lines of one part of a batch's results.
    render: Callable[[FileBatch, ResultPart], Iterator[bytes]]


class BatchLife:
    """Leads batches to their ends. Several processes may do so at once."""

    def __init__(self, store: Store, connection: Redis, settings: Settings, dialect: LineDialect) -> None:
        self._store = store
        self._connection = connection
        self._settings = settings
        self._dialect = dialect
        self._batches = FileBatches(store.engine)
        self._lines = FileLines(store.engine)
        self._feeder = Feeder(store, connection, settings, dialect.make_job)

    def advance(self, batch: FileBatch) -> bool:
        """Take the next step of a batch that has not ended. Returns whether its state has changed. Raises RedisError."""
        if batch.status in (FileBatchStatus.FINALIZING, FileBatchStatus.CANCELLING):
            return self._end(batch)
        if time.time() >= batch.expires_at:
            return self._batches.wind_down(batch.id, FileBatchStatus.EXPIRED)
        if batch.status == FileBatchStatus.VALIDATING:
            return self._validate(batch)
        if self._feeder.feed(batch) and not self._lines.count_open(batch.id):
            return self._batches.wind_down(batch.id, FileBatchStatus.COMPLETED)
        return False

    def _validate(self, batch: FileBatch) -> bool:
        limits = FileLimits(self._settings.max_batch_lines, self._settings.max_body_bytes)
        try:
            with open_file(batch, self._settings) as file:
                checked = check_file(file, batch.endpoint, limits, self._dialect.resolve_model)
        except ImageNotFoundError:
            gone = LineFlaw("file_not_found", "The input file is no longer stored. Upload it again.")
            return self._batches.fail(batch, [gone.as_dict()])
        if checked.flaws:
            logger.info("%s failed: its file has flaws.", batch.id)
            return self._batches.fail(batch, [flaw.as_dict() for flaw in checked.flaws])
        model = checked.model or self._dialect.resolve_model(None)
        return self._batches.begin(batch, total=checked.total, model=model)

    def _end(self, batch: FileBatch) -> bool:
        """Cancel the jobs that are open, close the lines that are left, and measure the results."""
        if batch.ending != FileBatchStatus.COMPLETED:
            cancel.cancel_run(batch.id, store=self._store, connection=self._connection)
            if batch.in_progress_at is not None:
                self._close(batch)
        # Anthropic's batches have no files of results.
        parts = ResultPart if batch.dialect == "openai" else ()
        sizes = {part: sum(map(len, self._dialect.render(batch, part))) for part in parts}
        tally = self._lines.tally(batch.id)
        logger.info("%s is %s: %d answers, %d errors.", batch.id, batch.ending, tally.completed, tally.failed)
        return self._batches.end(batch, json.dumps(asdict(tally)), sizes)

    def _close(self, batch: FileBatch) -> None:
        try:
            self._feeder.close(batch)
        except (ImageNotFoundError, DamagedBlobError) as error:
            logger.error("The input file of %s is lost, so its last lines have no results. %s", batch.id, error.message)  # noqa: TRY400


def tally_of(batch: FileBatch, lines: FileLines) -> Tally:
    """Return the counts of a batch at any moment."""
    return lines.tally(batch.id) if batch.tally is None else Tally(**json.loads(batch.tally))
