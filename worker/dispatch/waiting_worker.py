"""A worker without work: it waits for entries, and gives a sign of life now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.worker import WorkerStatus

from jobs.configuration.settings import Settings
from jobs.queue.lanes import LaneQueue, take
from jobs.queue.worker_state import withdraw_state
from worker.dispatch.admission.job_admission import JobAdmission
from worker.dispatch.admission.lane_wait import LaneWait
from worker.dispatch.job_events import JobEvents
from worker.dispatch.maintenance import Maintenance
from worker.dispatch.queue_worker import QueueWorker
from worker.downloads.downloads import Downloads

logger = logging.getLogger("captionq.worker")

#: Seconds between two looks of a worker without work: at put-off jobs, at a wish to drain it, at other workers. Each look is also
#: a sign of life: two come before the worker counts as silent.
IDLE_LOOK_EVERY = 6.0
#: Seconds from the last job to the first such look: the state that the worker has published is that of a busy one.
FIRST_LOOK_AFTER = 1.0
#: Seconds between two tries to reach a broker that is away, at first and at most.
AWAY_PAUSE, MAX_AWAY_PAUSE = 1.0, 5.0


class WaitingWorker(QueueWorker):
    """An rq worker that is woken up by entries. rq's own wait can lose an entry: see `LaneWait`. Subclasses make its parts."""

    _admission: JobAdmission
    _maintenance: Maintenance
    _events: JobEvents
    _lane_wait: LaneWait | None = None
    _settings: Settings
    #: The downloads that admins ask for; None: the worker does none.
    downloads: Downloads | None = None
    #: How often in a row the broker could not be reached.
    failures = 0

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[RQJob, Queue] | None:
        """Wait for an entry, and take it. rq's hook.

        Args:
            timeout: None: do not wait.
            max_idle_time: seconds after which None is returned; None: wait until there is an entry.
        """
        self.set_state(WorkerStatus.IDLE)
        begun, pause = time.monotonic(), AWAY_PAUSE
        until = float("inf") if max_idle_time is None else begun + max_idle_time
        may_have_entries = True
        while True:
            try:
                # First of all: an entry has ended the wait.
                lanes = self._admission.open_lanes
                if may_have_entries and (taken := take(self.connection, lanes, 1)):
                    return taken[0]
                self.heartbeat()
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
                now = time.monotonic()
                if timeout is None or now >= until:
                    return None
                look_in = FIRST_LOOK_AFTER if now - begun < FIRST_LOOK_AFTER else IDLE_LOOK_EVERY
                may_have_entries = self._wait(lanes, min(until - now, look_in, self._maintenance.next_due))
                pause, self.failures = AWAY_PAUSE, 0
            except (RedisConnectionError, RedisTimeoutError) as error:
                may_have_entries = True
                if self.has_lost_server(error):
                    raise
                logger.error("The broker is away (%s). Next try in %.0f s.", error, pause)  # noqa: TRY400  # no traceback
                time.sleep(pause)
                pause = min(2 * pause, MAX_AWAY_PAUSE)

    def has_lost_server(self, error: Exception) -> bool:
        """Count a failure, and return whether this process has to start the server again: it is the data folder's own, and ended.

        That is only said at the second failure: a server's owner, if it lives, starts the server within a second. A server that
        is silent, or on another host, may come back.
        """
        self.failures += 1
        has_ended = isinstance(error, RedisConnectionError) and self._settings.redis_url is None
        return has_ended and self.failures > 1

    def work(self, *arguments: Any, **options: Any) -> bool:
        """Run rq's loop: see `BaseWorker.work`."""
        with LaneWait(self.connection) as self._lane_wait:
            return bool(super().work(*arguments, **options))

    def wake(self) -> None:
        """Let a worker without work look at everything now. May be called from any thread."""
        self._maintained_at = float("-inf")
        if self._lane_wait is not None:
            self._lane_wait.wake()

    def run_maintenance_tasks(self) -> None:
        """Run rq's tasks, and look at the downloads."""
        super().run_maintenance_tasks()
        if self.downloads is not None:
            takes = not (self._events.draining or self.stopping)
            self.downloads.look(self.connection, self.name, takes=takes)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Renew the worker's key and its state, in one round trip or as a part of `pipeline`."""
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            return
        with self.connection.pipeline() as own:
            super().heartbeat(timeout, own)
            self._events.state(own)
            own.execute()

    def register_birth(self) -> None:
        """Announce the worker, and its state: a first step that stands still is told by repeating it."""
        super().register_birth()  # type: ignore[no-untyped-call]
        self._events.state()

    def register_death(self) -> None:
        """Withdraw the worker's state at the end of `work()`."""
        super().register_death()  # type: ignore[no-untyped-call]
        withdraw_state(self.connection, self.name)

    def _wait(self, lanes: Sequence[LaneQueue], seconds: float) -> bool:
        assert self._lane_wait is not None
        return self._lane_wait.wait(lanes, max(0.0, seconds))
