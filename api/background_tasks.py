"""Background tasks of the API: ends batches, sends webhooks, finds lost workers, deletes what is not needed any more."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from functools import partial

from redis.exceptions import RedisError

from api.batches.line_intake import line_dialect
from api.runtime.resources import Resources
from api.schemas.batch import batch_object
from api.schemas.folder import folder_object
from api.schemas.job import job_object
from jobs.batches.life_cycle import BatchLife
from jobs.batches.runner import BatchRunner
from jobs.configuration.worker_identity import kept_name
from jobs.creation.abandoned_batches import end_abandoned
from jobs.creation.run_locks import RunLocks
from jobs.images.stored.blob_sweep import sweep_blobs
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.store.databases.passing_faults import log_failure
from jobs.store.retention.keep_days import Retention
from jobs.store.tables import BatchKind
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from jobs.webhooks.delivery import Deliverer

logger = logging.getLogger("captionq.api")

#: Seconds between two searches for webhooks that are due.
DELIVER_EVERY = 1.0
#: Seconds between two searches for batches whose makers have died.
END_DEAD_EVERY = 30.0
#: Seconds between two sweeps of unneeded images.
SWEEP_EVERY = 3600.0


class BackgroundTasks:
    """A thread that lives as long as the API."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._webhooks = WebhookStore(resources.store.engine)
        self._deliverer = Deliverer(self._webhooks, resources.settings)
        life = BatchLife(resources.store, resources.connection, resources.settings, line_dialect(resources))
        self._batches = BatchRunner(resources.batches, life, resources.activity.rest)
        runs = RunLocks(resources.settings)
        self._retention = Retention(resources.store.engine, resources.settings.keep_days, runs.held)
        own = partial(kept_name, resources.settings)
        self._lost_workers = LostWorkers(resources.store, resources.connection, resources.settings.lease, own=own)
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._batches.start()
        self._retention.start()

    def close(self) -> None:
        """End the threads. The server's activity is closed before."""
        self._batches.close()
        self._retention.close()
        self._thread.join()
        self._deliverer.close()

    def _run(self) -> None:
        swept, searched, busy = 0.0, float("-inf"), True
        while self._resources.activity.rest(DELIVER_EVERY, busy=busy):
            busy = self._deliver() | self._look_for_lost_workers()
            if time.monotonic() - searched > END_DEAD_EVERY:
                searched = time.monotonic()
                self._end_dead()
            if time.monotonic() - swept > SWEEP_EVERY:
                swept = time.monotonic()
                self._sweep()

    def _deliver(self) -> bool:
        """Send the webhooks that are due. Returns whether any is left that was not delivered."""
        if self._resources.settings.webhook_secret is None:
            return False
        try:
            # Asked first: a job may end meanwhile.
            waits = self._webhooks.wait()
        except Exception:
            # `run_once` says what is wrong.
            waits = True
        self._deliverer.run_once(partial(message_of, resources=self._resources))
        return waits

    def _look_for_lost_workers(self) -> bool:
        """Look for lost workers. Returns whether one is missing, so that the next look is soon."""
        try:
            self._lost_workers.look()
        except RedisError as error:
            logger.debug("The broker is away (%s).", error)
        except Exception:
            log_failure(logger, "The jobs of lost workers could not be taken back.")
        return self._lost_workers.looks_soon

    def _end_dead(self) -> None:
        try:
            end_abandoned(store=self._resources.store, connection=self._resources.connection, now=time.time())
        except Exception:
            log_failure(logger, "The batches whose makers have died could not be ended.")

    def _sweep(self) -> None:
        try:
            self._resources.uploads.delete_expired()
            swept = sweep_blobs(self._resources.store.engine, self._resources.settings, time.time())
        except Exception:
            log_failure(logger, "Images that no job needs could not be deleted.")
        else:
            logger.log(logging.INFO if swept else logging.DEBUG, "Deleted %d images that no job needs.", swept)


def message_of(webhook: Webhook, resources: Resources) -> bytes:
    """Return the body of a webhook: the object that polling shows, in the envelope of Standard Webhooks."""
    store = resources.store
    if webhook.job_id is not None:
        job = job_object(store.job(webhook.job_id))
        return _envelope(f"job.{job.status}", job.finished_at, job.model_dump_json())
    assert webhook.batch_id is not None
    batch = store.batch(webhook.batch_id)
    if batch.kind == BatchKind.FILE:
        return _batch_message(webhook, resources)
    folder = folder_object(batch, resources)
    return _envelope("folder.ended", folder.finished_at, folder.model_dump_json())


def _batch_message(webhook: Webhook, resources: Resources) -> bytes:
    """Return the body for a batch, with the fields that OpenAI's clients expect of an event."""
    batch = batch_object(resources.batches.get(webhook.batch_id or ""), resources)
    more = f'"id":"{webhook.id}","object":"event","created_at":{int(webhook.created_at)},'
    return _envelope(f"batch.{batch.status}", webhook.created_at, batch.model_dump_json(), more)


def _envelope(kind: str, at: float | None, data: str, more: str = "") -> bytes:
    stamp = datetime.fromtimestamp(at or time.time(), UTC).isoformat(timespec="milliseconds")
    return f'{{{more}"type":"{kind}","timestamp":"{stamp}","data":{data}}}'.encode()
