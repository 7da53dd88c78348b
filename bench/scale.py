"""From a thousand rows to a million, with one to three workers and the stub in place of a model.

    python -m bench.scale [--rows 1000 --rows 10000 …] [--workers 1 --workers 2 …] [--database sqlite|postgres]
                          [--seconds 20] [--record bench/scale.json] [--plot bench/scale.png]

Each line of the record is one run: its rows are queued while workers answer, lists are read, and after some seconds the rest is
cancelled while an urgent request is sent again and again. Times by the clock depend on the other work of the machine; so each
run states the CPU time of this process too, and the time that ten million additions took it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
from sqlalchemy import text

from bench.scale_plot import draw
from bench.scale_processes import Site, loop_seconds, opened
from jobs.captions.text_places import TextPlace
from jobs.creation.cancel import cancel_run
from jobs.creation.create import Creation, create
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.models.model_info import STUB
from jobs.options.caption_options import CaptionOptions
from jobs.requests import Message, Request
from jobs.store.connection import reading
from jobs.store.queries.batch_list import newest_batches
from jobs.store.retention.pruning import delete_batch
from jobs.store.tables import Batch, Job, JobStatus, Lane

SIZES = (1000, 10_000, 100_000, 1_000_000)
#: Seconds between two urgent requests.
_URGENT_EVERY = 0.5
_MB = 1e6


class Urgent:
    """A client that sends an urgent request again and again while something else happens."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._ids: list[str] = []
        self._thread.start()

    def close(self) -> list[float]:
        """End. Returns the seconds from each request's row to its claim."""
        self._done.set()
        self._thread.join()
        jobs = [self._site.store.job(one) for one in self._ids]
        return [job.started_at - job.created_at for job in jobs if job is not None and job.started_at is not None]

    def _send(self) -> None:
        number = 0
        while not self._done.wait(_URGENT_EVERY):
            number += 1
            request = Request(model=STUB, messages=[Message(role="user", content=f"{time.time()} {number}")])
            job = Job(lane=Lane.INTERACTIVE, model=STUB, request=request.stored, digest=request.digest)
            site = self._site
            create(Creation([job]), store=site.store, connection=site.connection, settings=site.settings)
            self._ids.append(job.id)


def measure(site: Site, rows: int, workers: int, seconds: float) -> dict[str, Any]:
    """Queue a run, let workers answer it for some seconds, read its lists, cancel it, and delete it."""
    folder = site.folder / f"pictures-{rows}-{workers}"
    folder.mkdir()
    # One at a time, as a walk finds them: the memory of this process is that of queueing.
    pending = (
        PendingImage(TextPlace(folder, f"IMG_{one:07d}.jpg", folder, f"IMG_{one:07d}.txt")) for one in range(rows)
    )
    batch = Batch(description="pictures", model=STUB)
    question = Question.of(CaptionOptions(), STUB, None)
    before = compacted_size(site)
    figures: dict[str, Any] = {"database": site.database, "rows": rows, "workers": workers, "loop": loop_seconds()}
    with site.processes(workers):
        urgent, begun, cpu = Urgent(site), time.time(), time.process_time()
        FolderRun(question, batch, store=site.store, connection=site.connection).submit(pending)
        queued, cpu = time.time(), time.process_time() - cpu
        figures |= {"submit_seconds": queued - begun, "submit_cpu_ms_a_row": cpu / rows * 1000}
        answered = _answered(site, batch, seconds)
        figures |= answered | _lists(site, batch)
        figures["bytes_a_row"] = (size_of(site) - before) / rows
        waits = urgent.close()
        urgent, cancelling, cpu = Urgent(site), time.perf_counter(), time.process_time()
        figures["cancelled"] = cancel_run(batch.id, store=site.store, connection=site.connection)
        figures |= {"cancel_seconds": time.perf_counter() - cancelling, "cancel_cpu_seconds": time.process_time() - cpu}
        waits_of_cancel = urgent.close()
        first = site.store.finished_after(batch.id, 0, limit=1)
        started = [job.started_at for job in first if job.started_at is not None]
        figures["first_job_seconds"] = started[0] - begun if started else None
        figures |= {
            "claim_p50": median(waits or [0.0]),
            "claim_p99": _p99(waits),
            "claim_p99_cancel": _p99(waits_of_cancel),
        }
    figures |= {f"{kind}_mb": round(size / _MB, 1) for kind, size in sorted(site.peaks.items())}
    begun = time.perf_counter()
    delete_batch(site.store.engine, batch.id)
    return figures | {"delete_seconds": time.perf_counter() - begun}


def _answered(site: Site, batch: Batch, seconds: float) -> dict[str, float]:
    """Let the workers go on for some seconds after the last row, at most until the run's end. Returns their rate."""
    begun, before, cpu = time.time(), site.store.counts(batch.id)[JobStatus.SUCCEEDED], site.worker_seconds()
    while time.time() < begun + seconds and site.store.open_jobs(batch.id):
        time.sleep(0.2)
    counts, took = site.store.counts(batch.id), time.time() - begun
    answered = counts[JobStatus.SUCCEEDED] - before
    cpu = (site.worker_seconds() - cpu) * 1000 / max(1, answered)
    rate = {"answered_a_second": answered / took, "worker_cpu_ms_a_job": cpu} if answered else {}
    return {"answered": answered, "failed": counts[JobStatus.FAILED], **rate}


def _lists(site: Site, batch: Batch) -> dict[str, float]:
    store = site.store
    return {
        "page_ms": _timed(lambda: store.jobs(limit=100, newest_first=True)),
        "page_of_batch_ms": _timed(lambda: store.jobs(limit=100, batch_id=batch.id, newest_first=True)),
        "page_of_failed_ms": _timed(lambda: store.jobs(limit=100, statuses=[JobStatus.FAILED], newest_first=True)),
        "counts_ms": _timed(lambda: store.counts(batch.id)),
        "overview_ms": _timed(lambda: newest_batches(store.engine, 50)),
    }


def _timed(read: Callable[[], object]) -> float:
    """Return the median CPU and waiting time of some runs, in milliseconds. The first one builds the statement."""
    read()
    took = []
    for _ in range(9):
        begun = time.perf_counter()
        read()
        took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def _p99(waits: Sequence[float]) -> float | None:
    return None if not waits else waits[0] if len(waits) == 1 else quantiles(waits, n=100, method="inclusive")[-1]


def compacted_size(site: Site) -> float:
    """Return `size_of` without the room that removed rows have left."""
    if site.database == "postgres":
        with site.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM FULL job"))
    return size_of(site)


def size_of(site: Site) -> float:
    """Return the bytes of the tables and their indexes."""
    with reading(site.store.engine) as connection:
        if site.database == "postgres":
            return float(connection.execute(text("SELECT pg_total_relation_size('job')")).scalar_one())
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        free = connection.execute(text("PRAGMA freelist_count")).scalar_one()
        return float((pages - free) * connection.execute(text("PRAGMA page_size")).scalar_one())


@click.command()
@click.option("--rows", "sizes", multiple=True, type=int, help="Number of pictures of a run.")
@click.option("--workers", "teams", multiple=True, type=int, help="Number of workers. SQLite is measured with one.")
@click.option("--database", "databases", multiple=True, type=click.Choice(["sqlite", "postgres"]))
@click.option("--seconds", default=20.0, show_default=True, help="Time for the workers after the last row.")
@click.option("--record", type=click.Path(path_type=Path), default=Path("bench/scale.json"), show_default=True)
@click.option("--keep", is_flag=True, help="Keep the record's other runs.")
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw the record as PNG.")
def main(
    sizes: tuple[int, ...],
    teams: tuple[int, ...],
    databases: tuple[str, ...],
    seconds: float,
    record: Path,
    *,
    keep: bool,
    plot: Path | None,
) -> None:
    """Measure captionq at growing numbers of rows and workers."""
    runs: list[dict[str, Any]] = []
    if keep:
        with suppress(FileNotFoundError):
            runs = json.loads(record.read_text())["runs"]
    for database in databases or ("sqlite", "postgres"):
        with opened(database) as site:
            for rows in sizes or SIZES:
                for workers in (teams or (1, 2, 3)) if database == "postgres" else (1,):
                    runs.append(measure(site, rows, workers, seconds))
                    click.echo(json.dumps(runs[-1]))
                    # After each run: a record of hours is not lost by the last of them.
                    record.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    if plot is not None:
        draw(runs, plot)


if __name__ == "__main__":
    main()
