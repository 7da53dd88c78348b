"""An rq worker of captionq's lanes as far as its birth and death: all that a check of the broker needs."""

from __future__ import annotations

from contextlib import suppress

from redis import Redis
from redis.exceptions import ResponseError
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from jobs.queue.lanes import Entry, LaneQueue, lanes, take


class QueueWorker(BaseWorker):
    """A worker that can be registered with rq."""

    queue_class = LaneQueue
    job_class = Entry

    def __init__(self, name: str, connection: Redis) -> None:
        super().__init__(
            lanes(connection),
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            maintenance_interval=1,
            log_job_description=False,
        )

    def register_and_leave(self) -> None:
        """OnProgress rq of the worker's birth, ask the lanes for nothing, and tell rq of its death. No other worker notices.

        Raises RedisError, or another error when a reply cannot be read.
        """
        self.register_birth()  # type: ignore[no-untyped-call]  # rq's own signature
        try:
            take(self.connection, self.queues, 0)
        finally:
            self.register_death()  # type: ignore[no-untyped-call]  # rq's own signature

    def _set_ip_address(self, connection: Redis) -> None:
        """Give the connection the worker's name, for who lists the server's clients.

        rq also asks for the connection's address, to show it. Over a unix socket the address is the socket's path, in which
        redis-py cannot read a space or an equals sign: the worker would never start.
        """
        with suppress(ResponseError):  # a name with a letter outside of ASCII
            connection.client_setname(self.name)
        self.ip_address = "unknown"
