"""The broker and the worker of a run: those that run for the data folder, or its own for the length of the run."""

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

#: A worker that died this often in a row, with nothing finished in between, does not come back.
MAX_STARTS = 5
#: Seconds of life after which a worker is taken to be well.
WELL_AFTER = 120.0
#: Seconds between two looks at the services.
LOOK_EVERY = 1.0
#: Seconds that our own worker gets to put its jobs back.
STOP_SECONDS = 15.0


class Services:
    """Keeps a broker and a worker there while somebody waits for results."""

    def __init__(self, settings: Settings, *, with_worker: bool = True, worker_options: Sequence[str] = ()) -> None:
        self._settings = settings
        self._with_worker = with_worker
        self._worker_options = worker_options
        self._broker = broker.find_or_start(settings)
        self._worker: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._started = 0.0
        self._looked = 0.0
        self._rests_until = 0.0
        #: Whether the worker is this run's own, and ends with it.
        self.own_worker = not is_running(settings)

    @property
    def connection(self) -> Redis:
        return self._broker.connection

    def ensure(self) -> None:
        """Start again what has ended. Raises BrokerError, or WorkerError when the worker will not stay up."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            self.connection.ping()
        except RedisError:
            self._broker.stop()
            self._broker = broker.find_or_start(self._settings)
        if not self._with_worker or time.monotonic() < self._rests_until:
            return
        if self._worker is not None and self._worker.poll() is None:
            if time.monotonic() - self._started > WELL_AFTER:
                self.progressed()
            return
        if is_running(self._settings):
            # Somebody else's, perhaps since ours has died.
            self.own_worker = False
            return
        self._start_worker()

    def progressed(self) -> None:
        """Something was finished: the worker is well."""
        self._starts = 0

    def rest(self, seconds: float) -> None:
        """Start no worker for so long, then begin anew. The broker is looked after meanwhile."""
        self._starts = 0
        self._rests_until = time.monotonic() + seconds

    def stop(self) -> None:
        """End what this run started. Jobs that are not finished stay queued."""
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
            raise WorkerError(f"The worker ended {MAX_STARTS} times in a row. Its last words: {reason}")
        self._starts += 1
        self._started = time.monotonic()
        self.own_worker = True
        # -P: a folder named `cli` where the user happens to be must not be taken for ours.
        command = [sys.executable, "-P", "-c", "from cli.main import main; main()", "work", "--until-eof"]
        command += self._worker_options
        with self._output.open("wb") as output:
            self._worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )


@contextmanager
def services(settings: Settings) -> Iterator[Services]:
    """The services for the length of a `with` block."""
    running = Services(settings)
    try:
        yield running
    finally:
        running.stop()
