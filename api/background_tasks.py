"""Background tasks of the API: sends webhooks, ends batches of dead makers, and deletes images that no job needs."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from functools import partial

from api.runtime.resources import Resources
from api.schemas.folder import folder_object
from api.schemas.job import job_object
from jobs.creation.abandoned_batches import end_abandoned
from jobs.images.stored.blob_sweep import sweep_blobs
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
        self._deliverer = Deliverer(WebhookStore(resources.store.engine), resources.settings)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._deliverer.close()

    def _run(self) -> None:
        swept, searched = 0.0, float("-inf")
        while not self._done.wait(DELIVER_EVERY):
            if self._resources.settings.webhook_secret is not None:
                self._deliverer.run_once(partial(message_of, resources=self._resources))
            if time.monotonic() - searched > END_DEAD_EVERY:
                searched = time.monotonic()
                self._end_dead()
            if time.monotonic() - swept > SWEEP_EVERY:
                swept = time.monotonic()
                self._sweep()

    def _end_dead(self) -> None:
        try:
            end_abandoned(store=self._resources.store, connection=self._resources.connection, now=time.time())
        except Exception:
            logger.exception("The batches whose makers have died could not be ended.")

    def _sweep(self) -> None:
        try:
            swept = sweep_blobs(self._resources.store.engine, self._resources.settings, time.time())
        except Exception:
            logger.exception("Images that no job needs could not be deleted.")
        else:
            logger.log(logging.INFO if swept else logging.DEBUG, "Deleted %d images that no job needs.", swept)


def message_of(webhook: Webhook, resources: Resources) -> bytes:
    """Return the body of a webhook: the object that polling shows, in the envelope of Standard Webhooks."""
    store = resources.store
    if webhook.job_id is not None:
        job = job_object(store.job(webhook.job_id))
        kind, at, data = f"job.{job.status}", job.finished_at, job.model_dump_json()
    else:
        assert webhook.batch_id is not None
        folder = folder_object(store.batch(webhook.batch_id), resources)
        kind, at, data = "folder.ended", folder.finished_at, folder.model_dump_json()
    stamp = datetime.fromtimestamp(at or time.time(), UTC).isoformat(timespec="milliseconds")
    return f'{{"type":"{kind}","timestamp":"{stamp}","data":{data}}}'.encode()
