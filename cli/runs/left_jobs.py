"""The jobs that killed runs have left: those of the same command, and those about the images of a run that begins."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError

from cli.runs.processes.worker_restarts import WorkerProcess
from jobs.configuration.settings import Settings
from jobs.creation.abandoned_batches import cancel_dead_run
from jobs.creation.cancel import announce
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.creation.run_locks import RunLocks
from jobs.errors import BrokerError
from jobs.queue import broker
from jobs.requests import address_of
from jobs.store.queries.caption_runs import open_texts
from jobs.store.store import Store
from jobs.store.tables import OPEN, JobStatus
from worker.lock import is_running


def cancel_left_jobs(description: str, *, store: Store, runs: RunLocks, connection: Redis) -> None:
    """Cancel the open jobs of dead runs with this description. Answers that they had are in the result cache."""
    left = [one for one in store.open_batches() if one.description == description]
    for batch_id in runs.dead(left):
        cancel_dead_run(batch_id, store=store, connection=connection)


class LeftJobs:
    """Jobs that dead runs left for the images of a run, and that would write texts which these images do not need."""

    def __init__(self, settings: Settings, store: Store, runs: RunLocks, worker: WorkerProcess | None) -> None:
        """`worker`: the run's own, if it was started already. It does nothing before there is a broker."""
        self._settings = settings
        self._store = store
        self._runs = runs
        self._worker = worker

    def cancel(self, planned: Iterator[PendingImage | SkippedImage]) -> Iterable[PendingImage | SkippedImage]:
        """Cancel them, and return the images. If there are dead runs, all images are found before the first is queued.

        The next worker would write texts again that are there now. And an image whose text is named otherwise by now, because a
        twin came beside it, would get two: no image owns the one with the old name, and programs may take it for the twin's.
        """
        if not (dead := self._runs.dead(self._store.open_batches())):
            return planned
        found = list(planned)
        skipped = [address_of(one.output) for one in found if isinstance(one, SkippedImage)]
        # A live worker may have written the text of a running job just now, and be about to commit the result.
        leaving = (JobStatus.QUEUED,) if self._worker_may_write() else OPEN
        cancelled = self._store.cancel_abandoned([*skipped, *self._misplaced(found, dead)], dead, leaving)
        # The rows decide: a worker drops the entries of jobs that have ended.
        with suppress(BrokerError, RedisError):
            if cancelled and (connection := broker.find(self._settings)) is not None:
                announce(cancelled, store=self._store, connection=connection)
        return found

    def _misplaced(self, found: Sequence[PendingImage | SkippedImage], dead: Collection[str]) -> list[str]:
        """Return the addresses of texts that dead runs would write under other names than those that the images have now."""
        texts = open_texts(self._store.engine, dead)
        pairs = ((texts.get(address_of(one.image)), one.output) for one in found)
        return [text for text, output in pairs if text is not None and text != address_of(output)]

    def _worker_may_write(self) -> bool:
        waits = self._worker is not None and self._worker.is_running and broker.find(self._settings) is None
        return not waits and is_running(self._settings)
