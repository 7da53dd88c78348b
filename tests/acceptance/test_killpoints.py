"""SIGKILL of a worker at chosen writes to Redis: no job is lost, and no record of the dead worker is left.

`CAPTIONQ_TEST_KILLPOINTS=all` kills at every write, one after the other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import lanes, push
from jobs.store.store import Store
from jobs.store.tables import JobStatus, Lane
from tests.faults.seeds import of_this_part
from tests.faults.tally import Tally, tally
from tests.support.killpoint import KilledWorkers, Moment, killed_workers
from tests.support.own_signals import own_signals
from tests.worker.dispatch.test_metal_worker import add_text_job, assert_nothing_is_left
from worker import service

__all__ = ["tally"]

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("known_models")]

#: Points in recovery, in taking ids, before and after leases, at the ends of jobs. A run of three jobs makes 140 to 170 writes:
#: the worker polls its lanes between two steps, and the number of polls depends on the machine.
CHOSEN = [(12, "before"), (76, "after"), (85, "before"), (125, "after")]
ALL = [(point, moment) for point in range(1, 200) for moment in ("before", "after")]
POINTS = of_this_part(ALL) if os.environ.get("CAPTIONQ_TEST_KILLPOINTS") == "all" else CHOSEN


@pytest.fixture(scope="module")
def workers() -> Iterator[KilledWorkers]:
    """Workers that kill themselves."""
    with killed_workers() as workers:
        yield workers


_own_signals = pytest.fixture(autouse=True)(own_signals)


@pytest.mark.parametrize(("point", "moment"), POINTS)
def test_a_kill_at_any_write_loses_nothing(
    settings: Settings,
    store: Store,
    connection: Redis,
    workers: KilledWorkers,
    tally: Tally,
    point: int,
    moment: Moment,
) -> None:
    """Three jobs, one of them for another model, have one result each after a worker's death and a second worker's run."""
    jobs = [add_text_job(store, "Hello!", model) for model in ("demo-text", "demo", "demo-text")]
    push(connection, Lane.BULK, [job.id for job in jobs])
    first = workers.work(settings, point, moment)
    if first.status == 0:
        # The worker made fewer writes: a sweep goes beyond the last one.
        assert first.writes < point
    else:
        assert first.status == -signal.SIGKILL
    tally.count(is_made=first.status != 0)
    # The second worker needs no process of its own, whose start takes longer than the jobs.
    service.run(settings, burst=True)
    rows = [store.job(job.id) for job in jobs]
    assert [row.status for row in rows] == [JobStatus.SUCCEEDED] * 3
    assert all((row.text or "").startswith("Hello!") for row in rows if row.model == "demo-text")
    assert all(row.attempts - row.deaths == 1 for row in rows)
    assert [len(queue) for queue in lanes(connection)] == [0, 0]
    assert_nothing_is_left(connection)
    tally.ended(len(jobs))
