"""The birth and death of an rq worker on captionq's lanes: enough for a check of the broker."""

from __future__ import annotations

from contextlib import suppress

from redis import Redis
from redis.exceptions import ResponseError
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from rq.worker_registration import register

from jobs.hang_up import on_hang_up
from jobs.queue.lanes import Entry, LaneQueue, lanes, take


class QueueWorker(BaseWorker):
    """A worker that can be registered with rq."""

    queue_class = LaneQueue
    job_class = Entry
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

    def register_and_leave(self) -> None:
        """Register the worker with rq, take no job, and unregister the worker. No other worker notices.

        Raises RedisError, or another error when a reply cannot be read.
        """
        self.register_birth()  # type: ignore[no-untyped-call]  # rq's own signature
        try:
            take(self.connection, self.queues, 0)
        finally:
            self.register_death()  # type: ignore[no-untyped-call]  # rq's own signature

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
