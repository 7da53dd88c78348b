"""The worker's process, from its lock to its last log line. There is one worker for a data folder."""

from __future__ import annotations

import logging
import math
import sys
import time
from contextlib import suppress

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.errors import BrokerError, DatabaseError, WorkerError
from jobs.errors.broker_faults import broker_error
from jobs.errors.database_faults import cause_of, database_error
from jobs.models.model_info import STUB
from jobs.queue import broker
from jobs.queue.broker_socket import place
from jobs.start_up import end_imports
from jobs.store.connection import place_of
from jobs.store.databases.passing_faults import passes
from jobs.store.result_cache import ResultCache
from jobs.store.retention.keep_days import Retention
from jobs.store.store import Store
from worker.dispatch.faults.database_patience import forgiving, is_of_database
from worker.dispatch.faults.patient_start import open_store, recover_patiently
from worker.dispatch.metal_worker import MetalWorker
from worker.downloads.downloads import Downloads
from worker.lock import HeldLock, WorkerOwner, worker_lock
from worker.models.library_imports import LibraryImports
from worker.native_stderr import native_stderr_to_log
from worker.pipeline.request_pipeline import RequestPipeline
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

logger = logging.getLogger("captionq.worker")

#: Seconds between two attempts to reach a database or a broker that went away.
AWAY_PAUSE = 1.0
#: Seconds between two looks for the broker that the worker's owner starts.
BROKER_CHECK_EVERY = 0.02
#: Seconds after which a thread that prepares images has to release Python's lock to the thread that feeds the model. That thread
#: asks for the lock after every reply of the broker, and would wait Python's default of 5 ms each time.
SWITCH_INTERVAL = 0.0005


def run(
    settings: Settings,
    *,
    until_eof: bool = False,
    await_broker: bool = False,
    burst: bool = False,
    linger: float | None = None,
) -> bool:
    """Run jobs until a signal stops the worker, or until it was drained. Returns whether it was drained.

    Args:
        settings: The settings, of which the data folder decides the lock.
        until_eof: The process belongs to a run, and ends with it.
        await_broker: Wait for the broker that another process starts.
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
    with worker_lock(settings, owner) as lock, native_stderr_to_log():
        store = open_store(settings)
        pipeline, libraries = _make_pipeline(settings, store)
        retention = Retention(store.engine, settings.keep_days, RunLocks(settings).held)
        downloads = Downloads(settings)
        try:
            retention.start()
            if await_broker:
                _await_broker(settings)
            if libraries is not None:
                libraries.wait()
            end_imports()
            linger = None if linger is None else math.ceil(linger)
            return _work(settings, store, pipeline, downloads, lock, burst=burst, linger=linger)
        finally:
            downloads.close()
            retention.close()
            pipeline.close()
            store.close()


def _make_pipeline(settings: Settings, store: Store) -> tuple[RequestPipeline, LibraryImports | None]:
    """Make the pipeline, and begin to import the libraries that it loads models with; None: it needs none."""
    if settings.model == STUB:
        return StubPipeline(settings), None
    from worker.pipeline.pipeline import Pipeline

    libraries = LibraryImports(settings)
    return Pipeline(settings, forgiving(ResultCache(store.engine).find) if settings.cache else None), libraries


def _await_broker(settings: Settings) -> None:
    """Wait until the data folder's broker runs, so that its end is not the end of this worker. Raises BrokerError."""
    while (connection := broker.find(settings)) is None:
        time.sleep(BROKER_CHECK_EVERY)
    connection.close()


def _work(
    settings: Settings,
    store: Store,
    pipeline: RequestPipeline,
    downloads: Downloads,
    lock: HeldLock,
    *,
    burst: bool,
    linger: int | None,
) -> bool:
    """Run one worker after another on the same warm model: rq's loop ends if the broker goes away."""
    worker: MetalWorker | None = None
    while True:
        queue_server = _await_server(settings, worker)
        if queue_server is None:
            return worker is not None and worker.drained
        worker = MetalWorker(worker_name(settings), queue_server.connection, store, pipeline, settings)
        if not burst and linger is None:
            # The others end by themselves, and a download with them.
            worker.downloads = downloads
        crash: Exception | None = None
        try:
            recover_patiently(worker.name, store, queue_server.connection, settings, died=lock.died)
            # Jobs that a later turn finds running were left by this process, which did not die.
            lock.died = False
            logger.info("Worker %s waits for jobs in %s.", worker.name, settings.data_dir)
            worker.work(burst=burst, logging_level=None, max_idle_time=linger)
        except (RedisError, DBAPIError, DatabaseError) as error:
            crash = error
        finally:
            with suppress(RedisError):
                queue_server.stop()
        if (crash := worker.crash or crash) is not None:
            _survive(crash, settings, lock)
            pipeline.clear()
        if worker.stopping or ((burst or linger is not None or worker.drained) and crash is None):
            return worker.drained
        time.sleep(AWAY_PAUSE)


def _await_server(settings: Settings, last: MetalWorker | None) -> broker.Broker | None:
    """Find or start the broker. Raises BrokerError at the start, when somebody reads the reason, and if waiting does not help.

    Args:
        last: the worker that ran on it before. A broker that is away then is waited for until that worker is asked to stop:
            None is returned.
    """
    while last is None or not last.stopping:
        try:
            return broker.find_or_start(settings)
        except BrokerError as error:
            if last is None or not error.transient:
                raise
            logger.warning("%s", error.message)
            time.sleep(AWAY_PAUSE)
    return None


def _survive(crash: Exception, settings: Settings, lock: HeldLock) -> None:
    """Log the loss of the broker or the database.

    Raises BrokerError or DatabaseError if waiting does not help, and WorkerError for any other crash.
    """
    if isinstance(crash, RedisError):
        fault = broker_error(crash, place(settings))
        if not fault.transient:
            raise fault from crash
        logger.warning("%s", fault.message)
    elif passes(crash):
        logger.warning("%s", cause_of(crash, place_of(settings)))
    elif is_of_database(crash):
        raise database_error(crash, place_of(settings)) from crash
    else:
        lock.died = True
        raise WorkerError(f"The worker crashed: {crash}. {settings.log_dir} has the details.") from crash
