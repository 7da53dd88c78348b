"""What the worker tells those who watch: the events of jobs, and how it is itself. Nothing depends on any of it being heard."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from redis import Redis

from jobs.queue.events import Event, publish
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.store.store import Result
from jobs.store.tables import Job
from worker.dispatch.metrics import Metrics
from worker.dispatch.rates import Rate
from worker.dispatch.rq_leases import AWAY
from worker.engine.sequences import TextDelta
from worker.pipeline.pipeline import Pipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two tellings of tokens: each token of a real model by itself, a few at a time of a tiny one.
TOKENS_EVERY = 0.005
#: Maximum number of events kept while the broker is away; the oldest go first.
MOST_UNSENT = 10_000
#: Seconds between two tellings of the worker's own state.
STATE_EVERY = 1.0


class JobEvents:
    """Publishes, and counts what it publishes."""

    def __init__(self, name: str, connection: Redis, pipeline: Pipeline, kept: int) -> None:
        """`kept`: seconds for which the worker counts as alive after it has told its state."""
        self.metrics = Metrics(name)
        self._name = name
        self._connection = connection
        self._pipeline = pipeline
        self._kept = kept
        self._rates: dict[str, Rate] = {}
        #: What could not be published while the broker was away.
        self._unsent: deque[Event] = deque(maxlen=MOST_UNSENT)
        self._tokens_told = 0.0
        self._state_told = 0.0

    def publish(self, job_id: str, event: str, **data: object) -> None:
        """Something happened to a job."""
        self._publish([Event(job_id, event, data)])

    def began(self, job: Job) -> None:
        """A job was claimed. What an earlier attempt has said is void."""
        if job.streamed:
            self.publish(job.id, "restart" if job.attempts > 1 else "running", attempt=job.attempts)

    def tokens(self, said: Callable[[], Iterable[TextDelta]], attempt: Callable[[str], int]) -> None:
        """What the running jobs have said since the last time, if that is long enough ago; each in its running `attempt`."""
        now = time.monotonic()
        if now - self._tokens_told < TOKENS_EVERY:
            return
        news = [_news(one, attempt(one.key)) for one in said()]
        if news:
            self._tokens_told = now
            self._publish(news)

    def succeeded(self, job: Job, result: Result) -> None:
        """The row of a job holds its result."""
        self.metrics.succeeded(job.lane, result, job.queue_seconds)
        self._ended(job)

    def failed(self, job: Job, *, again: bool) -> None:
        """The row of a job holds its error; `again`: it will be tried once more."""
        self.metrics.failed(job.lane, "retried" if again else "failed")
        if not again:
            self._ended(job)

    def _ended(self, job: Job) -> None:
        self._rates.setdefault(job.lane, Rate()).count()
        if job.streamed:
            self.publish(job.id, "ended")

    def state(self) -> None:
        """How the worker is, if it has not just been told. Raises RedisError."""
        if time.monotonic() - self._state_told < STATE_EVERY:
            return
        self._state_told = time.monotonic()
        publish_state(self._connection, self._state(), self._kept)

    def _state(self) -> WorkerState:
        rows, slots = self._pipeline.rows, self._pipeline.slots
        rates = {lane: rate.per_second for lane, rate in self._rates.items()}
        return WorkerState(
            name=self._name,
            at=time.time(),
            model=self._pipeline.model,
            batching=self._pipeline.batching,
            rows=rows,
            slots=slots,
            rates={lane: rate for lane, rate in rates.items() if rate is not None},
            metrics=self.metrics.text(rows=rows, slots=slots),
        )

    def _publish(self, news: Sequence[Event]) -> None:
        self._unsent.extend(news)
        try:
            publish(self._connection, self._unsent)
        except AWAY as error:
            logger.warning("The broker is away (%s): %s hears later.", error, news[0].job_id)
        else:
            self._unsent.clear()


def _news(said: TextDelta, attempt: int) -> Event:
    # With the place of the text in the answer: an event may come twice, or be lost with the broker.
    logprobs = {} if said.logprobs is None else {"logprobs": json.loads(said.logprobs)}
    return Event(said.key, "tokens", {"text": said.text, "at": said.at, "attempt": attempt, **logprobs})
