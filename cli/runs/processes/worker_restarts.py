"""The worker process of a run: started, started again when it dies, and given time to end."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from cli.exit_status import DRAINED
from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, WorkerError
from jobs.own_process import captionq_command
from worker.worker_name import worker_name

logger = logging.getLogger("captionq.worker")

#: Most starts of a worker in a row without a finished job in between.
MAX_STARTS = 5
#: Seconds after which a running worker counts as healthy.
HEALTHY_AFTER = 120.0
#: Grace in seconds: the time that the worker gets to put its jobs back before it is killed.
STOP_SECONDS = 15.0


class WorkerProcess:
    """The worker that a run starts, and starts again each time it dies, at most MAX_STARTS times in a row."""

    def __init__(self, settings: Settings, options: Sequence[str], *, lingers: bool = False) -> None:
        """`lingers`: the process outlives the run, and ends when it has been idle for the setting `ask_linger`."""
        self._lingers = lingers
        #: Called from another thread when a process that was started has ended.
        self.on_end: Callable[[], object] | None = None
        self._settings = settings
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._started = 0.0

    @property
    def is_running(self) -> bool:
        """Whether the process lives. A process that has lived for HEALTHY_AFTER may die MAX_STARTS times again."""
        if self._process is None or self._process.poll() is not None:
            return False
        if time.monotonic() - self._started > HEALTHY_AFTER:
            self.forgive()
        return True

    @property
    def is_drained(self) -> bool:
        """Whether the process ended because a person drained the worker."""
        return self._process is not None and self._process.poll() == DRAINED

    def forgive(self) -> None:
        """Forget the deaths so far: a job was finished, or the worker has run for a while."""
        self._starts = 0

    def start(self) -> None:
        """Start the process. Raises WorkerError after MAX_STARTS deaths in a row."""
        if self._starts >= MAX_STARTS:
            raise WorkerError(f"The worker ended {MAX_STARTS} times in a row. Its last output: {self._last_output()}")
        self._starts += 1
        self._started = time.monotonic()
        ending = ["--linger", str(self._settings.ask_linger)] if self._lingers else ["--until-eof", "--await-broker"]
        command = captionq_command("work", *ending, *self._options)
        stdin = subprocess.DEVNULL if self._lingers else subprocess.PIPE
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=stdin, stdout=output, stderr=output, start_new_session=True)
        if self.on_end is not None:
            threading.Thread(target=_announce, args=(self._process, self.on_end), name="end", daemon=True).start()

    def stop(self) -> None:
        """End the process unless it lingers; kill it after STOP_SECONDS. Its unfinished jobs stay queued. May be called again."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._give_jobs_back()
            self._process.kill()
            self._process.wait()

    def _give_jobs_back(self) -> None:
        """Queue the jobs that the process is running: its end is no fault of theirs, and counts as no death.

        Before the kill, as the next worker may take jobs under the same name as soon as the process is gone.
        """
        # Imported here: a run starts its worker before it imports the store itself.
        from sqlalchemy.exc import SQLAlchemyError

        from jobs.store.connection import is_being_opened
        from jobs.store.store import Store

        if is_being_opened(self._settings):
            # Perhaps by the process itself, which may hold the lock as long as it lives.
            return
        try:
            with closing(Store(self._settings)) as store:
                store.recover(worker_name(self._settings), died=False)
        except (CaptionqError, SQLAlchemyError, OSError) as error:
            logger.warning("The jobs of the killed worker could not be queued (%s); the next worker does it.", error)

    @property
    def _output(self) -> Path:
        return self._settings.log_dir / "worker.out"

    def _last_output(self) -> str:
        words = self._output.read_text(errors="replace").strip().splitlines()
        return words[-1] if words else f"{self._settings.log_dir} may say why."


def _announce(process: subprocess.Popen[bytes], on_end: Callable[[], object]) -> None:
    process.wait()
    on_end()
