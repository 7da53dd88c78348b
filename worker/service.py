"""The worker's process, from its lock to its last log line. There is one worker for a data folder."""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jobs.errors import CaptionqError, WorkerError, first_line
from jobs.queue import broker
from jobs.settings import Settings
from jobs.store.connection import is_away
from jobs.store.result_cache import ResultCache
from jobs.store.store import Store
from worker.dispatch.crash_recovery import recover
from worker.dispatch.metal_worker import MetalWorker
from worker.lock import WorkerOwner, worker_lock
from worker.native_stderr import native_stderr_to_log
from worker.pipeline.pipeline import Pipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two attempts to reach a database or a broker that went away.
AWAY_PAUSE = 1.0
#: Seconds after which a thread that prepares images has to release Python's lock to the thread that feeds the model. That thread
#: asks for the lock after every reply of the broker, and would wait Python's default of 5 ms each time.
SWITCH_INTERVAL = 0.0005
#: Seconds beyond the grace period after which a worker whose owner has ended exits at once: a download may hold it up.
LAST_RESORT = 5.0


def run(settings: Settings, *, until_eof: bool = False, burst: bool = False, linger: float | None = None) -> None:
    """Run jobs until a signal stops the worker.

    Args:
        settings: The settings, of which the data folder decides the lock.
        until_eof: Stop when the standard input closes, that is, when the process that started the worker ends.
        burst: Stop when the lanes are empty.
        linger: Stop when the lanes have been empty for this many seconds.

    Raises:
        AlreadyRunningError: A worker is running for this data folder.
        BrokerError: The broker can neither be found nor started.
        WorkerError: The worker crashed.
    """
    settings.make_folders()
    sys.setswitchinterval(SWITCH_INTERVAL)
    owner = WorkerOwner.RUN if until_eof else WorkerOwner.TERMINAL if linger is None else WorkerOwner.NOBODY
    with worker_lock(settings, owner), native_stderr_to_log():
        if until_eof:
            threading.Thread(target=_stop_at_eof, args=(settings,), name="owner", daemon=True).start()
        store = Store(settings)
        pipeline = Pipeline(settings, ResultCache(store.engine).find if settings.cache else None)
        try:
            _work(settings, store, pipeline, burst=burst, linger=None if linger is None else math.ceil(linger))
        finally:
            pipeline.close()
            store.close()


def worker_name(settings: Settings) -> str:
    """Return the worker's name, the same at every start, so that a worker finds the jobs that its predecessor left.

    The data folder keeps the name: a Mac's host name changes with the network, and two Macs with one database may share a name.
    """
    kept = settings.data_dir / "worker.name"
    name = kept.read_text() if kept.exists() else ""
    if not name:
        name = f"captionq-{socket.gethostname()}-{secrets.token_hex(4)}"
        kept.write_text(name)
    return name


def _work(settings: Settings, store: Store, pipeline: Pipeline, *, burst: bool, linger: int | None) -> None:
    """Run one worker after another on the same warm model: rq's loop ends if the broker or the database goes away."""
    died = True
    while True:
        queue_server = broker.find_or_start(settings)
        worker = MetalWorker(worker_name(settings), queue_server.connection, store, pipeline, settings)
        crash: Exception | None = None
        try:
            recover(worker, store, queue_server.connection, died=died)
            # Jobs that a later turn finds running were left by this process, which did not die.
            died = False
            logger.info("Worker %s waits for jobs in %s.", worker.name, settings.data_dir)
            worker.work(burst=burst, logging_level=None, max_idle_time=linger)
        except (RedisError, DBAPIError) as error:
            crash = error
        finally:
            with suppress(RedisError):
                queue_server.stop()
        if (crash := worker.crash or crash) is not None:
            _survive(crash, settings)
            pipeline.clear()
        if worker.stopping or ((burst or linger is not None) and crash is None):
            return
        time.sleep(AWAY_PAUSE)


def _survive(crash: Exception, settings: Settings) -> None:
    """Log the loss of the broker or the database; raise WorkerError for any other crash."""
    if isinstance(crash, RedisError):
        logger.warning("The broker went away (%s).", crash)
    elif is_away(crash):
        logger.warning("The database went away (%s).", first_line(crash))
    else:
        raise WorkerError(f"The worker crashed: {crash}. {settings.log_dir} has the details.") from crash


def _stop_at_eof(settings: Settings) -> None:
    # Not through `sys.stdin`: a thread that waits inside its lock would abort an interpreter that exits for another reason.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(settings.grace + LAST_RESORT)
    try:
        # The jobs wait for a model that is still downloading: they are not the cause of a death.
        Store(settings).recover(worker_name(settings), died=False)
    except (CaptionqError, SQLAlchemyError, OSError) as error:
        logger.warning("The jobs of this worker could not be given back (%s); the next worker recovers them.", error)
    finally:
        os._exit(1)
