"""Publishing the events of jobs and the state of the worker. Events may be lost: the row has the truth."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from jobs.queue.events import Event, publish
from jobs.queue.live_texts import is_watched, publish_texts
from jobs.queue.worker_state import SILENT_AFTER, Fault, WorkerState, add_state, publish_state
from jobs.queue.workers.bulk_waits import BulkWait, words_of
from jobs.store.result import Result
from jobs.store.tables import Job
from worker.dispatch.job_rate import JobRate
from worker.dispatch.metrics import Metrics
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.rq_leases import AWAY
from worker.engine.sequences import TextDelta
from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two publications of tokens, for each stream that grows, and at most. A piece of text costs worker, broker and
#: API a millisecond or two of CPU, whatever its length (docs/engine.md); a reader sees no difference between 30 and 50 pieces a
#: second. The first tokens of an answer are not held back by it if no other stream grows.
TOKENS_EVERY_A_STREAM = 0.03
TOKENS_EVERY = 0.1
#: Maximum number of events kept while the broker is away; the oldest go first.
MOST_UNSENT = 10_000
#: Seconds between two lines of the log about events that wait for the broker.
AWAY_SAID_EVERY = 60.0
#: Seconds between two publications of the worker's state.
STATE_EVERY = 1.0
#: Seconds without a publication after which the watchdog's thread publishes the last state again.
PULSE_AFTER = 2 * STATE_EVERY
#: Seconds between two publications of all texts so far, while a page is watched.
TEXTS_EVERY = 0.5


class JobEvents:
    """Publishes events, and counts them in the metrics."""

    def __init__(
        self,
        name: str,
        connection: Redis,
        pipeline: RequestPipeline,
        lease: int,
        find_fault: Callable[[], Fault | None],
    ) -> None:
        """Prepare to publish.

        Args:
            lease: seconds for which the worker's jobs stay with it after a sign of life.
            find_fault: returns the fault that the worker waits for; None: there is none.
        """
        self.metrics = Metrics(name)
        self._name = name
        self._connection = connection
        self._pipeline = pipeline
        self._lease = lease
        self._find_fault = find_fault
        self._last_state: WorkerState | None = None
        self._rates: dict[str, JobRate] = {}
        #: Whether the worker was asked to drain.
        self.draining = False
        #: Why the worker takes no bulk jobs; empty: it takes them.
        self.bulk_waits: Sequence[BulkWait] = ()
        #: When the models leave memory unless a job comes, in seconds since the epoch; None: not while it is as it is.
        self.unloads_at: float | None = None
        #: Events that are noted, and those that could not be published while the broker was away.
        self._unsent: deque[Event] = deque(maxlen=MOST_UNSENT)
        self._has_news = False
        self._tasks = PeriodicTasks()
        self._tokens_due = 0.0
        self._state_published = 0.0
        self._texts_published = 0.0

    def publish(self, job: Job, event: str, **data: object) -> None:
        """Publish an event of a claimed job now. Others wait for `flush`: readers are woken once for the events of all jobs."""
        self._note(job, event, **data)
        self.flush()

    def _note(self, job: Job, event: str, **data: object) -> None:
        # With the job's attempt: clients ignore events of attempts that are over.
        self._add([Event(job.id, event, {**data, "attempt": job.attempts})])

    def began(self, job: Job) -> None:
        """Note that a job was claimed. The text of an earlier attempt is void."""
        if job.streamed:
            self._note(job, "restart" if job.attempts > 1 else "running")

    def tokens(self, said: Callable[[], Iterable[TextDelta]], attempt: Callable[[str], int]) -> None:
        """Publish the new text of the running jobs, each in its running `attempt`, unless the last time was just now."""
        now = time.monotonic()
        if now < self._tokens_due:
            return
        news = [event for one in said() for event in _text_events(one, attempt(one.key))]
        if news:
            self._tokens_due = now + min(TOKENS_EVERY, TOKENS_EVERY_A_STREAM * len(news))
            self._add(news)
            self.flush()

    def answered(self, job: Job, result: Result) -> None:
        """Note the whole text of an answer that was not generated: a client that shows growing text sees it at once."""
        if job.streamed:
            whole = TextDelta(job.id, text=result.text, reasoning=result.reasoning or "")
            self._add(_text_events(whole, job.attempts))

    def succeeded(self, job: Job, result: Result) -> None:
        """Count a job whose row holds its result, and note its end."""
        self.metrics.succeeded(job.lane, result, job.queue_seconds)
        self._ended(job)

    def failed(self, job: Job, *, again: bool) -> None:
        """Count a job whose row holds its error, and note its end. `again`: the job will be tried again, and has not ended."""
        self.metrics.failed(job.lane, "retried" if again else "failed")
        if not again:
            self._ended(job)

    def _ended(self, job: Job) -> None:
        self._rates.setdefault(job.lane, JobRate()).count()
        if job.streamed:
            self._note(job, "ended")

    def state(self, pipeline: Pipeline | None = None) -> None:
        """Publish the worker's state, and the texts so far for a watched page, unless the last time was just now.

        `pipeline`: publish the state as a part of it. Raises RedisError.
        """
        if time.monotonic() - self._texts_published >= TEXTS_EVERY:
            self._texts_published = time.monotonic()
            if self._pipeline.rows and is_watched(self._connection):
                publish_texts(self._connection, self._name, self._pipeline.texts_so_far())
        if time.monotonic() - self._state_published < STATE_EVERY:
            return
        self._state_published = time.monotonic()
        self._last_state = self._state()
        self._publish_state(self._last_state, pipeline)

    def pulse(self, step_seconds: float) -> None:
        """Publish the last state again if the worker's thread is busy, as in a long step. To be called from another thread.

        `step_seconds`: how long the present step has taken.
        """
        if self._last_state is not None and time.monotonic() - self._state_published > PULSE_AFTER:
            with suppress(RedisError):
                self._publish_state(replace(self._last_state, at=time.time(), step_seconds=step_seconds))

    def _publish_state(self, state: WorkerState, pipeline: Pipeline | None = None) -> None:
        seconds = min(SILENT_AFTER, self._lease)
        if pipeline is None:
            publish_state(self._connection, state, seconds, lease=self._lease)
        else:
            add_state(pipeline, state, seconds, lease=self._lease)

    def _state(self) -> WorkerState:
        rows, slots = self._pipeline.rows, self._pipeline.slots
        fault = self._find_fault()
        rates = {lane: rate.per_second for lane, rate in self._rates.items()}
        return WorkerState(
            name=self._name,
            at=time.time(),
            model=self._pipeline.model,
            batching=self._pipeline.batching,
            rows=rows,
            slots=slots,
            rates={lane: rate for lane, rate in rates.items() if rate is not None},
            fault_code="" if fault is None else fault.code,
            fault="" if fault is None else fault.sentence,
            metrics=self.metrics.text(rows=rows, slots=slots, figures=self._pipeline.figures),
            host=socket.gethostname(),
            models=list(self._pipeline.models),
            jobs=self._pipeline.in_flight,
            memory=self.metrics.memory(),
            draining=self.draining,
            unloads_at=self.unloads_at,
            bulk_wait_codes=[wait.code for wait in self.bulk_waits],
            bulk_wait=words_of(self.bulk_waits),
            # With several reasons nobody knows when the last one ends.
            bulk_wait_until=self.bulk_waits[0].until if len(self.bulk_waits) == 1 else None,
        )

    def _add(self, news: Iterable[Event]) -> None:
        for event in news:
            self._unsent.append(event)
            self._has_news = True

    def flush(self) -> None:
        """Publish the events that were noted."""
        if not self._has_news:
            return
        # If the broker is away, the next news tries again.
        self._has_news = False
        try:
            publish(self._connection, self._unsent)
        except AWAY as error:
            if self._tasks.is_due("say", AWAY_SAID_EVERY):
                logger.warning(
                    "The broker is away (%s): events of %s are published later.", error, self._unsent[-1].job_id
                )
        else:
            self._unsent.clear()


def _text_events(said: TextDelta, attempt: int) -> Iterator[Event]:
    # With the place of the text in the answer: an event may come twice, or be lost with the broker.
    common = {"attempt": attempt, **({"choice": said.choice} if said.choice else {})}
    if said.reasoning:
        yield Event(said.key, "thoughts", {"text": said.reasoning, "at": said.reasoning_at, **common})
    if said.text:
        logprobs = {} if said.logprobs is None else {"logprobs": said.logprobs}
        yield Event(said.key, "tokens", {"text": said.text, "at": said.at, **common, **logprobs})
    if said.calls:
        yield Event(said.key, "calls", {"text": said.calls, "at": said.calls_at, **common})
