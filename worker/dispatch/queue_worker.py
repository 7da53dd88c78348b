"""The birth and death of an rq worker on captionq's lanes: enough for a check of the broker."""

from __future__ import annotations

import time
from contextlib import suppress

from redis import Redis
from redis.exceptions import ResponseError
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from rq.worker_registration import register

from jobs.hang_up import on_hang_up
from jobs.queue.lanes import Entry, LaneQueue, lanes, take

#: Seconds between two times that rq cleans its registries. Nothing waits for it: jobs of lost workers and rows without an entry
#: are found by captionq's own tasks.
CLEAN_EVERY = 60.0


class QueueWorker(BaseWorker):
    """A worker that can be registered with rq."""

    queue_class = LaneQueue
    job_class = Entry
    log_result_lifespan = False
    max_connection_wait_time = 5.0  # rq's own 60 s would leave a broker that is back unnoticed for a minute
    _maintained_at = float("-inf")
    _cleaned_at = float("-inf")
    #: rq leaves the connection's own time-out then. No command waits at the server for entries, and a model would stand still
    #: while a frozen server is waited for.
    connection_timeout = 0

    def __init__(self, name: str, connection: Redis) -> None:
        super().__init__(
            lanes(connection, name),
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            maintenance_interval=1,
            log_job_description=False,
        )

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Whether the interval is over. rq compares times of a clock that may be set back, by days perhaps."""
        return time.monotonic() - self._maintained_at > self.maintenance_interval

    def run_maintenance_tasks(self) -> None:
        """Run rq's tasks, some forty commands, if it is time for them."""
        self._maintained_at = time.monotonic()
        if self._maintained_at - self._cleaned_at > CLEAN_EVERY:
            self._cleaned_at = self._maintained_at
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # rq's own signature

    @property
    def stopping(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._shutdown_requested_date is not None

    def set_shutdown_requested_date(self) -> None:
        """Write nothing: rq writes a date to Redis here, inside a signal handler, and Redis may be gone by then."""

    def register_and_leave(self) -> None:
        """Register the worker with rq, take no job, and unregister the worker. No other worker notices.

        Raises RedisError, or another error when a reply cannot be read.
        """
        self.register_birth()  # type: ignore[no-untyped-call]  # rq's own signature
        try:
            take(self.connection, self.queues, 0)
        finally:
            self.register_death()  # type: ignore[no-untyped-call]  # rq's own signature

    def teardown(self) -> None:
        """Leave rq's lists, and end the thread that listens for commands: rq keeps it for good if the server is away then."""
        try:
            super().teardown()  # type: ignore[no-untyped-call]  # rq's own signature
        finally:
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()

    def _install_signal_handlers(self) -> None:
        """Stop in order at SIGINT and SIGTERM, as rq does, and also when the terminal closes."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # rq's own signature
        on_hang_up(self.request_stop)

    def stay_registered(self) -> None:
        """Register again with rq if others took this worker for lost, because it was suspended. Raises RedisError."""
        if not self.connection.sismember(self.redis_workers_keys, self.key):
            with self.connection.pipeline() as pipeline:
                pipeline.hset(self.key, mapping=self.serialize())
                register(self, pipeline)
                pipeline.expire(self.key, self.worker_ttl + 60)
                pipeline.execute()

    def _set_ip_address(self, connection: Redis) -> None:
        """Give the connection the worker's name, which a list of the server's clients shows.

        rq also asks for the connection's address. Over a unix socket the address is the socket's path, and redis-py cannot parse
        a space or an equals sign in it: the worker would never start.
        """
        with suppress(ResponseError):  # a name with a letter outside of ASCII
            connection.client_setname(self.name)
        self.ip_address = "unknown"
