"""The broker and the worker of a run: the ones that already run for the data folder, or ones that the run starts and ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import RedisError

from cli.runs.processes.interruption import signals_interrupt
from cli.runs.processes.worker_restarts import WorkerProcess
from jobs.configuration.settings import Settings
from jobs.errors import BrokerError, DiskFullError
from jobs.queue import broker
from jobs.queue.worker_state import live_workers, withdraw_state
from jobs.start_up import end_imports
from jobs.store.write_checks import check_room
from worker.lock import is_running
from worker.worker_name import worker_name

logger = logging.getLogger("captionq.broker")

#: Seconds between two checks of the services.
CHECK_EVERY = 1.0
#: Seconds between two looks for the broker of a worker that starts.
BROKER_CHECK_PAUSE = 0.02


class Services:
    """The broker and the worker of a run, started again when they end."""

    def __init__(
        self,
        settings: Settings,
        *,
        with_worker: bool = True,
        worker_options: Sequence[str] = (),
        lingers: bool = False,
        worker: WorkerProcess | None = None,
    ) -> None:
        """Find or start the broker.

        Args:
            lingers: the worker that the run starts outlives the run, and so does its broker.
            worker: one that was started before.
        """
        # From here on the process runs for as long as its jobs do.
        end_imports()
        self._settings = settings
        self._with_worker = with_worker
        self._worker = worker or WorkerProcess(settings, worker_options, lingers=lingers)
        if lingers:
            self._await_broker_of_worker()
        self._broker = broker.find_or_start(settings)
        self._checked = 0.0
        #: The code of the fault for whose end the run waits.
        self._waits_for: str | None = None
        self._rests_until = 0.0
        self._broker_watch: threading.Thread | None = None
        #: Whether the worker is this run's own, and ends with it.
        self.own_worker = self._worker.is_running or not is_running(settings)

    @property
    def connection(self) -> Redis:
        return self._broker.connection

    @property
    def is_away(self) -> bool:
        """Whether the broker does not answer."""
        try:
            self.connection.ping()
        except RedisError:
            return True
        return False

    def ensure(self) -> None:
        """Start broker and worker again if they ended. A broker that cannot be used for now is waited for, with a log line.

        Raises BrokerError when waiting does not help, or WorkerError if the worker dies again and again.
        """
        if time.monotonic() - self._checked < CHECK_EVERY:
            return
        self._checked = time.monotonic()
        self._check_broker()
        if self._waits_for is not None:
            # A worker would end at once.
            return
        if not self._with_worker or time.monotonic() < self._rests_until:
            return
        if self._worker.is_running or self._worker.is_drained:
            return
        # Another command may have started a worker, perhaps since this run's own died.
        self.own_worker = not is_running(self._settings)
        if self.own_worker:
            with suppress(RedisError):
                # Until its lease is over, clients would take the dead worker for alive.
                withdraw_state(self.connection, worker_name(self._settings))
            self._worker.start()

    @property
    def is_settled(self) -> bool:
        """Whether broker and worker run, so that `on_change` tells of the end of both."""
        return self._waits_for is None and (not self._with_worker or self._worker.is_running or self._worker.is_drained)

    def on_change(self, look: Callable[[], object]) -> None:
        """Let `look` be called, from other threads, when the broker or the worker has ended. To be called before each wait."""
        self._worker.on_end = look
        if self._broker_watch is None or not self._broker_watch.is_alive():
            self._broker_watch = threading.Thread(target=_announce, args=(self._broker, look), name="end", daemon=True)
            self._broker_watch.start()

    def find_fault(self) -> str:
        """Return a sentence about the fault that the jobs wait for; empty: none is known."""
        try:
            check_room(self._settings)
            states = live_workers(self.connection)
        except DiskFullError as error:
            return error.message
        except RedisError:
            return ""
        if any(state.stands_still for state in states):
            return "The worker stands still in one step of the model. It restarts itself after CAPTIONQ_STALL seconds."
        fault = next((state.fault for state in states if state.fault), "")
        return fault and f"{fault} The jobs wait, and go on by themselves."

    def find_wait(self) -> str:
        """Return for what the bulk jobs wait, as the rest of "Bulk work waits …"; empty: a worker takes them, or none lives."""
        with suppress(RedisError):
            waits = [state.bulk_wait for state in live_workers(self.connection) if not state.draining]
            return "" if "" in waits else next(iter(waits), "")
        return ""

    def _check_broker(self) -> None:
        fault = broker.fault_of(self.connection, self._settings)
        if fault is not None and not fault.transient:
            raise fault
        if type(fault) is BrokerError and self._settings.redis_url is None:
            # The data folder's own server has ended.
            self._broker.stop()
            self._broker = broker.find_or_start(self._settings)
            fault = None
        code = None if fault is None else fault.code
        if code != self._waits_for:
            self._waits_for = code
            logger.warning("%s", "The broker answers again." if fault is None else fault.message)

    def _await_broker_of_worker(self) -> None:
        """Start the worker if none runs, and wait for the broker that it brings. Raises WorkerError."""
        while broker.find(self._settings) is None:
            if not self._worker.is_running and not is_running(self._settings):
                self._worker.start()
            time.sleep(BROKER_CHECK_PAUSE)

    def progressed(self) -> None:
        """Note that a job was finished: the worker is healthy."""
        self._worker.forgive()

    def rest(self, seconds: float) -> None:
        """Start no worker for this long, then try again. The broker is still kept running."""
        self._worker.forgive()
        self._rests_until = time.monotonic() + seconds

    def stop(self) -> None:
        """End the worker and the broker that this run started. Unfinished jobs stay queued."""
        self.stop_worker()
        self._broker.stop()

    def stop_worker(self) -> None:
        """End the worker that this run started. Its last results are in the store then."""
        self._worker.stop()


def _announce(running: broker.Broker, look: Callable[[], object]) -> None:
    running.await_end()
    look()


@contextmanager
def services(settings: Settings, worker: WorkerProcess | None = None, *, lingers: bool = False) -> Iterator[Services]:
    """Provide the services for the length of a `with` block, which signals end as Ctrl-C does.

    `worker`, `lingers`: see `Services`.
    """
    with signals_interrupt():
        running = Services(settings, lingers=lingers, worker=worker)
        try:
            yield running
        finally:
            running.stop()
