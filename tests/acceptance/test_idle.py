"""A server without work: how often its processes wake up, and how much they ask the broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.worker_state import live_workers
from tests.support.processes import until
from tests.support.serving import Served, hello, serving

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts the wake-ups of threads by /proc"),
]

#: Signs of life of an idle worker that the counts are taken over. One comes every six seconds.
SIGNS = 2
#: Most wake-ups of API and worker, and most looks at the lanes and at put-off jobs, in this time. `bench/README.md` has the
#: figures, and those of the broker, which this test itself asks all the time. A loop with a timer takes more in two seconds.
MOST_WAKEUPS = 60
MOST_LOOKS = 10


@pytest.fixture
def served(settings: Settings) -> Iterator[Served]:
    with serving(settings) as running:
        yield running


def wakeups(process: psutil.Process) -> int:
    """Return the voluntary context switches of all threads of a process and of its children, without the broker."""
    found = 0
    for each in (process, *process.children(recursive=True)):
        if "server" in each.name():
            continue
        for status in Path(f"/proc/{each.pid}/task").glob("*/status"):
            line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))
            found += int(line.split()[1])
    return found


def signs_of_life(connection: Redis, number: int) -> None:
    """Wait until the worker has published so many more states."""
    for _ in range(number):
        [before] = live_workers(connection)
        until(lambda before=before: live_workers(connection)[0].at != before.at, "a sign of life")  # type: ignore[misc]


def test_an_idle_server_sleeps(served: Served) -> None:
    """The threads of clients end, no thread has a timer, and the broker is told and asked what is needed."""
    served.client.post("/v1/chat/completions", json=hello()).raise_for_status()
    served.client.close()
    process = psutil.Process(served.process.pid)
    with served.broker() as connection:
        # The pauses are short for ten seconds after a request.
        signs_of_life(connection, 4)
        looks, before = connection.info("commandstats")["cmdstat_eval"]["calls"], wakeups(process)
        signs_of_life(connection, SIGNS)
        assert connection.info("commandstats")["cmdstat_eval"]["calls"] - looks <= MOST_LOOKS
        assert wakeups(process) - before <= MOST_WAKEUPS
