"""captionq while nothing is to do, as JSON: its share of a core, its wake-ups a second, and how soon a job begins then.

    python -m bench.idle [--seconds 60] [--jobs 20] [--threads]

Starts `captionq serve` with the built-in model in a data folder of its own, asks one question so that the model is warm, and
counts for some seconds. A wake-up is a voluntary context switch of any thread. Afterwards jobs are queued one at a time, each
after a rest, and the time between their entry and the beginning of their attempt is read from their rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from jobs.configuration.settings import Settings
from jobs.queue.feeding import enqueue
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import OPEN, Job, Lane
from tests.support.processes import SCRIPT
from tests.support.serving import Served, hello, serving

_PICTURE = Path(__file__).resolve().parents[1] / "examples" / "scene-02.png"
#: Seconds after the last job until the counting begins: connections of clients end, and caches are settled.
SETTLE = 15.0
#: Seconds of rest before each job that is timed.
REST = 1.3


def measure(seconds: float, jobs: int, *, threads: bool) -> dict[str, object]:
    """Return the figures of all processes together and of each, and the milliseconds to the beginning of a job by lane."""
    with TemporaryDirectory(prefix="captionq-idle-", ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder) / "data", model="demo", _env_file=None)
        settings.make_folders()
        with serving(settings, script=str(SCRIPT)) as served:
            served.client.post("/v1/chat/completions", json=hello()).raise_for_status()
            served.client.close()
            time.sleep(SETTLE)
            found = dict(_named(served))
            before = {name: _Count(process) for name, process in found.items()}
            begun = time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - begun
            used = {name: _Count(process).since(before[name], passed) for name, process in found.items()}
            begins = {lane.value: _latency(served, lane, jobs) for lane in Lane}
    parts = {name: one.figures(threads=threads) for name, one in used.items()}
    total = {
        "cpu_percent": round(sum(one.cpu for one in used.values()), 3),
        "wakeups_a_second": round(sum(sum(one.wakeups.values()) for one in used.values()), 2),
    }
    return {"seconds": round(passed, 1), "all": total, **parts, "begins_after_ms": begins}


class _Count:
    """CPU seconds and wake-ups of a process so far, or in percent and a second since another count."""

    def __init__(self, process: psutil.Process) -> None:
        times = process.cpu_times()
        self.cpu = times.user + times.system
        self.wakeups = _wakeups(process)

    def since(self, other: _Count, seconds: float) -> _Count:
        self.cpu = 100 * (self.cpu - other.cpu) / seconds
        wakeups = {name: (count - other.wakeups.get(name, 0)) / seconds for name, count in self.wakeups.items()}
        self.wakeups = Counter({name: rate for name, rate in wakeups.items() if rate})
        return self

    def figures(self, *, threads: bool) -> dict[str, object]:
        names = {name: round(rate, 2) for name, rate in self.wakeups.most_common()}
        shown = {"cpu_percent": round(self.cpu, 3), "wakeups_a_second": round(sum(self.wakeups.values()), 2)}
        return {**shown, "threads": names} if threads else {**shown}


def _wakeups(process: psutil.Process) -> Counter[str]:
    """Return the voluntary context switches of a process, by thread on Linux."""
    tasks = Path(f"/proc/{process.pid}/task")
    if not tasks.exists():
        return Counter({"all": process.num_ctx_switches().voluntary})
    found: Counter[str] = Counter()
    for task in tasks.iterdir():
        fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
        found[f"{fields['Name'].strip()} {task.name}"] = int(fields["voluntary_ctxt_switches"])
    return found


def _named(served: Served) -> Iterator[tuple[str, psutil.Process]]:
    server = psutil.Process(served.process.pid)
    yield "api", server
    for process in server.children(recursive=True):
        command = " ".join(process.cmdline())
        kind = "worker" if " work " in command else "keeper" if "queue-keeper" in command else process.name()
        yield f"{kind} {process.pid}", process


def _latency(served: Served, lane: Lane, jobs: int) -> dict[str, float]:
    """Queue jobs in a lane one at a time, and return the milliseconds until they began."""
    store = Store(served.captionq.settings)
    found = []
    with served.broker() as connection:
        for number in range(jobs):
            time.sleep(REST)
            request = Request.about_image(
                _PICTURE, model="demo", prompt=f"What is this? ({number})", sampling=Sampling(max_tokens=1)
            )
            text = request.model_dump_json()
            job = Job(lane=lane, model="demo", request=text, digest=request.digest, source=_PICTURE.as_uri())
            store.add([job])
            pushed = time.time()
            enqueue(store, connection, lane, [job.id])
            _until(lambda job_id=job.id: store.job(job_id).status not in OPEN)  # type: ignore[misc]
            begun = store.job(job.id).started_at
            assert begun is not None
            found.append(1000 * (begun - pushed))
    store.close()
    return {"median": round(statistics.median(found), 2), "most": round(max(found), 2)}


def _until(happened: Callable[[], bool]) -> None:
    while not happened():
        time.sleep(0.01)


def main() -> None:
    """Parse the arguments and measure."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seconds", type=float, default=60.0)
    made.add_argument("--jobs", type=int, default=20, help="jobs that are timed in each lane")
    made.add_argument("--threads", action="store_true", help="also the wake-ups of each thread (Linux)")
    arguments = made.parse_args()
    print(json.dumps(measure(arguments.seconds, arguments.jobs, threads=arguments.threads), indent=1))


if __name__ == "__main__":
    main()
