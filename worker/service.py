"""The worker's process: one for a data folder, from its lock to its last log line."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from jobs.errors import WorkerError, first_line
from jobs.queue import broker
from jobs.settings import Settings
from jobs.store.connection import is_away
from jobs.store.store import Store
from worker.dispatch.crash_recovery import recover
from worker.dispatch.metal_worker import MetalWorker
from worker.lock import worker_lock
from worker.native_stderr import native_stderr_to_log
from worker.pipeline.pipeline import Pipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two tries to find a database, or to find or start a broker, that went away.
AWAY_PAUSE = 1.0
#: Seconds after which a thread that prepares pictures hands Python back to the one that feeds the model, which asks for it after
#: every reply of the broker. Python's own 5 ms would cost it as much each time.
SWITCH_INTERVAL = 0.0005
#: Seconds after which a worker that was asked to end with its owner ends at once: it may be fetching a model.
LAST_RESORT = 5.0


def run(settings: Settings, *, until_eof: bool = False, burst: bool = False) -> None:
    """Work until a signal says stop (or the lanes are empty, with `burst`). Raises AlreadyRunningError, BrokerError, WorkerError.

    `until_eof`: stop when the standard input closes, that is, with the process that started this one.
    """
    settings.make_folders()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with worker_lock(settings), native_stderr_to_log():
        if until_eof:
            threading.Thread(target=_stop_at_eof, args=(settings,), name="owner", daemon=True).start()
        store = Store(settings)
        pipeline = Pipeline(settings)
        try:
            _work(settings, store, pipeline, burst=burst)
        finally:
            pipeline.close()
            store.close()


def worker_name(settings: Settings) -> str:
    """The same at every start, so that a worker recognises what its predecessor left.

    It is kept in the data folder: a Mac's own name changes with the network, and two of them may have one name and one database.
    """
    kept = settings.data_dir / "worker.name"
    name = kept.read_text() if kept.exists() else ""
    if not name:
        name = f"captionq-{socket.gethostname()}-{secrets.token_hex(4)}"
        kept.write_text(name)
    return name


def _work(settings: Settings, store: Store, pipeline: Pipeline, *, burst: bool) -> None:
    """A worker after the other on the same warm model: rq's loop ends when broker or database go away, and begins anew."""
    died = True
    while True:
        queue_server = broker.find_or_start(settings)
        worker = MetalWorker(worker_name(settings), queue_server.connection, store, pipeline, settings)
        crash: Exception | None = None
        try:
            recover(worker, store, queue_server.connection, died=died)
            # From here on it is this process that left rows behind, and it lives.
            died = False
            logger.info("Worker %s waits for jobs in %s.", worker.name, settings.data_dir)
            worker.work(burst=burst, logging_level=None)
        except (RedisError, DBAPIError) as error:
            crash = error
        finally:
            with suppress(RedisError):
                queue_server.stop()
        if (crash := worker.crash or crash) is not None:
            _survive(crash, settings)
            pipeline.clear()
        if worker.stopping or (burst and crash is None):
            return
        time.sleep(AWAY_PAUSE)


def _survive(crash: Exception, settings: Settings) -> None:
    """Raises WorkerError for a crash that is more than a server that went away."""
    if isinstance(crash, RedisError):
        logger.warning("The broker went away (%s).", crash)
    elif is_away(crash):
        logger.warning("The database went away (%s).", first_line(crash))
    else:
        raise WorkerError(f"The worker broke: {crash}. {settings.log_dir} has the details.") from crash


def _stop_at_eof(settings: Settings) -> None:
    # Not through `sys.stdin`: a thread that waits inside its lock would abort an interpreter that ends for another reason.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(settings.grace + LAST_RESORT)
    # What waits for a model that is still being fetched has not killed anybody.
    with suppress(Exception):
        Store(settings).recover(worker_name(settings), died=False)
    os._exit(1)
