"""Signals to a worker that runs a job: the job goes back to the queue, and counts no death."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from jobs.configuration.settings import Settings
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from tests.support.processes import until
from worker import service

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("known_models")]

#: Seconds within which rq takes a second signal for a repetition of the first.
REPEATED = 1.1


@pytest.mark.parametrize(
    ("signals", "grace"),
    [((signal.SIGHUP,), 0.0), ((signal.SIGTERM, signal.SIGTERM), 3600.0), ((signal.SIGHUP, signal.SIGTERM), 3600.0)],
    ids=["a terminal that closes", "a second signal", "a signal after a terminal that closed"],
)
def test_a_worker_puts_its_job_back(
    settings: Settings, store: Store, signals: tuple[signal.Signals, ...], grace: float
) -> None:
    """At once when its grace is over, or at the second signal."""
    sampling = Sampling(max_tokens=1900, logit_bias={0: -100, 2: -100})
    request = Request(model="demo-text", messages=[Message(role="user", content="Count to twenty.")], sampling=sampling)
    job = Job(model="demo-text", request=request.model_dump_json(), digest=request.digest)
    store.add([job])

    def stop() -> None:
        until(lambda: store.job(job.id).status == JobStatus.RUNNING, "the job")
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(REPEATED if len(signals) > 1 else 0.0)

    stopping = threading.Thread(target=stop)
    stopping.start()
    with suppress(SystemExit):
        service.run(settings.model_copy(update={"grace": grace}))
    stopping.join()
    row = store.job(job.id)
    assert (row.status, row.deaths, row.worker) == (JobStatus.QUEUED, 0, None)
