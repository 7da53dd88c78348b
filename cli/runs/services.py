"""The broker and the worker of a run: the ones that already run for the data folder, or ones that the run starts and ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from jobs.errors import WorkerError
from jobs.queue import broker
from jobs.settings import Settings
from worker.lock import is_running

#: Most starts of a worker in a row without a finished job in between.
MAX_STARTS = 5
#: Seconds after which a running worker counts as healthy.
HEALTHY_AFTER = 120.0
#: Seconds between two checks of the services.
CHECK_EVERY = 1.0
#: Seconds that the run's own worker gets to put its jobs back.
STOP_SECONDS = 15.0


class Services:
    """The broker and the worker of a run, started again when they end."""

    def __init__(self, settings: Settings, *, with_worker: bool = True, worker_options: Sequence[str] = ()) -> None:
        self._settings = settings
        self._with_worker = with_worker
        self._worker_options = worker_options
        self._broker = broker.find_or_start(settings)
        self._worker: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._started = 0.0
        self._checked = 0.0
        self._rests_until = 0.0
        #: Whether the worker is this run's own, and ends with it.
        self.own_worker = not is_running(settings)

    @property
    def connection(self) -> Redis:
        return self._broker.connection

    def ensure(self) -> None:
        """Start broker and worker again if they ended. Raises BrokerError, or WorkerError after MAX_STARTS deaths in a row."""
        if time.monotonic() - self._checked < CHECK_EVERY:
            return
        self._checked = time.monotonic()
        try:
            self.connection.ping()
        except RedisError:
            self._broker.stop()
            self._broker = broker.find_or_start(self._settings)
        if not self._with_worker or time.monotonic() < self._rests_until:
            return
        if self._worker is not None and self._worker.poll() is None:
            if time.monotonic() - self._started > HEALTHY_AFTER:
                self.progressed()
            return
        if is_running(self._settings):
            # Another command has started a worker, perhaps since this run's own died.
            self.own_worker = False
            return
        self._start_worker()

    def progressed(self) -> None:
        """Note that a job was finished: the worker is healthy."""
        self._starts = 0

    def rest(self, seconds: float) -> None:
        """Start no worker for this long, then try again. The broker is still kept running."""
        self._starts = 0
        self._rests_until = time.monotonic() + seconds

    def stop(self) -> None:
        """End the worker and the broker that this run started. Unfinished jobs stay queued."""
        if self._worker is not None and self._worker.stdin is not None:
            self._worker.stdin.close()
            try:
                self._worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                self._worker.wait()
        self._broker.stop()

    @property
    def _output(self) -> Path:
        return self._settings.log_dir / "worker.out"

    def _start_worker(self) -> None:
        if self._starts >= MAX_STARTS:
            words = self._output.read_text(errors="replace").strip().splitlines()
            reason = words[-1] if words else f"{self._settings.log_dir} may say why."
            raise WorkerError(f"The worker ended {MAX_STARTS} times in a row. Its last output: {reason}")
        self._starts += 1
        self._started = time.monotonic()
        self.own_worker = True
        # -P: a folder named `cli` in the current directory must not be imported.
        command = [sys.executable, "-P", "-c", "from cli.main import main; main()", "work", "--until-eof"]
        command += self._worker_options
        with self._output.open("wb") as output:
            self._worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )


@contextmanager
def services(settings: Settings) -> Iterator[Services]:
    """Provide the services for the length of a `with` block."""
    running = Services(settings)
    try:
        yield running
    finally:
        running.stop()
