"""How often a busy worker looks into its lanes."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import push
from jobs.store.store import Store
from jobs.store.tables import JobStatus, Lane
from tests.worker.dispatch.test_metal_worker import MANY, add_endless_job
from worker import service
from worker.dispatch.admission.job_admission import LOOK_EVERY


@pytest.mark.usefixtures("known_models")
def test_short_steps_do_not_each_look_into_the_lanes(settings: Settings, store: Store, connection: Redis) -> None:
    """A step of a small model takes a millisecond or two, and a look as long."""
    job = add_endless_job(store)
    push(connection, Lane.INTERACTIVE, [job.id])
    begun = time.monotonic()
    service.run(settings, burst=True)
    most = (time.monotonic() - begun) / LOOK_EVERY + 20
    assert store.job(job.id).status == JobStatus.SUCCEEDED
    # Two for a look: one for each lane.
    looks = connection.info("commandstats")["cmdstat_lmove"]["calls"] / 2
    assert looks <= most < MANY
