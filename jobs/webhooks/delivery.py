"""Delivery of due webhooks: one thread per receiver, so that a slow receiver delays only its own messages.

Messages and their signatures are made in `jobs/webhooks/message.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, WebhookError
from jobs.errors.database_faults import cause_of
from jobs.faults import FaultPoint, point
from jobs.store.databases.passing_faults import passes
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from jobs.webhooks.message import deliver

#: Maximum number of receivers that are served at the same time.
THREADS = 8

#: Function that renders the body of a message as JSON.
Render = Callable[[Webhook], bytes]

logger = logging.getLogger("captionq.webhooks")


class Deliverer:
    """Deliverer of due webhooks. Several processes may have one each."""

    def __init__(self, store: WebhookStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        #: Hosts that a thread is delivering to.
        self._busy: set[str] = set()

    def run_once(self, render: Render) -> None:
        """Start threads that deliver the due webhooks, and return without waiting for them. Raises nothing."""
        try:
            due = self._store.due(time.time())
        except Exception as error:
            logger.error("Webhooks could not be read: %s.", _kind(error))  # noqa: TRY400
            return
        by_host: defaultdict[str, list[str]] = defaultdict(list)
        for webhook_id, url in due:
            by_host[_host(url)].append(webhook_id)
        for host, ids in by_host.items():
            self._start(host, ids, render)

    def close(self) -> None:
        """Wait for the messages that are on their way. All others stay due."""
        with self._lock:
            self._stopping.set()
        self._threads.shutdown()

    def _start(self, host: str, ids: Sequence[str], render: Render) -> None:
        with self._lock:
            if self._stopping.is_set() or host in self._busy or len(self._busy) >= THREADS:
                return
            self._busy.add(host)
            self._threads.submit(self._serve, host, ids, render)

    def _serve(self, host: str, ids: Sequence[str], render: Render) -> None:
        try:
            for webhook_id in ids:
                if self._stopping.is_set():
                    break
                self._try(webhook_id, host, render)
        except Exception as error:
            # Only the type is logged, here and below: the text of an unforeseen error may hold the address, and thus a secret.
            logger.error("Webhooks for %s could not be served: %s.", host, _kind(error))  # noqa: TRY400
        finally:
            with self._lock:
                self._busy.discard(host)

    def _try(self, webhook_id: str, host: str, render: Render) -> None:
        # Claimed one by one: a claim must not run out while other messages to the same receiver are on their way.
        webhook = self._store.claim(webhook_id, time.time())
        if webhook is None:
            return
        point(FaultPoint.WEBHOOK)
        try:
            deliver(webhook, render(webhook), self._settings)
        except WebhookError as error:
            self._record_failure(webhook, host, error)
        except CaptionqError as error:
            self._record_failure(webhook, host, WebhookError(error.message))
        except Exception as error:
            self._record_failure(
                webhook, host, WebhookError(f"The message could not be rendered or sent: {type(error).__name__}.")
            )
        else:
            point(FaultPoint.WEBHOOK_SENT)
            self._store.delivered(webhook)

    def _record_failure(self, webhook: Webhook, host: str, error: WebhookError) -> None:
        now = time.time()
        again = self._store.failed(webhook, error, now)
        then = "There are no more attempts" if again is None else f"The next attempt is in {again - now:.0f} s"
        logger.warning("Webhook %s for %s was not delivered. %s %s.", webhook.id, host, error.message, then)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that is not valid"


def _kind(error: Exception) -> str:
    """Return the cause of a fault of the database, else the type of an error: its text may hold a secret."""
    if passes(error):
        return cause_of(error, "the database").rstrip(".")
    return type(error).__name__
