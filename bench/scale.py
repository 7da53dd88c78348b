"""The store among many rows: how fast rows are written, listed, counted, cancelled and pruned.

    python -m bench.scale [--million] [--database sqlite|postgres] [--out FILE.json]

Prints a table for each database and writes JSON. Nothing is generated: the model and the broker are not part of it. The
machine's speed is stated as the seconds that a loop of ten million additions takes, for comparison.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from sqlalchemy import text

from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, job_about
from jobs.options.caption_options import CaptionOptions
from jobs.store.connection import reading
from jobs.store.queries.batch_list import newest_batches
from jobs.store.retention.pruning import delete_batch
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.postgres import postgres_server
from tests.support.rows import make_job

SIZES = (1000, 10_000, 100_000)
MILLION = 1_000_000


@dataclass(frozen=True)
class Figures:
    """Figures of one database at one number of rows. Times of reads are medians, in milliseconds."""

    database: str
    rows: int
    #: Per second, by the clock and by this process's processor time.
    inserted: float
    inserted_cpu: float
    bytes_a_row: float
    page_ms: float
    page_of_batch_ms: float
    page_of_failed_ms: float
    counts_ms: float
    overview_ms: float
    claim_ms: float
    cancel_seconds: float
    #: The longest wait of another writer while the batch is cancelled.
    longest_wait_ms: float
    delete_seconds: float


def measure(store: Store, rows: int, database: str) -> Figures:
    """Fill a database, use it, and empty it."""
    batch = Batch(description="pictures", model="demo")
    clock, cpu = insert(store, batch, rows)
    size = size_of(store) / rows
    times = {
        "page_ms": timed(lambda: store.jobs(limit=100, newest_first=True)),
        "page_of_batch_ms": timed(lambda: store.jobs(limit=100, batch_id=batch.id, newest_first=True)),
        "page_of_failed_ms": timed(lambda: store.jobs(limit=100, statuses=[JobStatus.FAILED], newest_first=True)),
        "counts_ms": timed(lambda: store.counts(batch.id)),
        "overview_ms": timed(lambda: newest_batches(store.engine, 50)),
        "claim_ms": timed(lambda: claim(store, batch)),
    }
    cancelled, waited = cancel(store, batch)
    begun = time.perf_counter()
    delete_batch(store.engine, batch.id)
    deleted = time.perf_counter() - begun
    return Figures(
        database=database,
        rows=rows,
        inserted=rows / clock,
        inserted_cpu=rows / cpu,
        bytes_a_row=size,
        **times,
        cancel_seconds=cancelled,
        longest_wait_ms=waited,
        delete_seconds=deleted,
    )


def insert(store: Store, batch: Batch, rows: int) -> tuple[float, float]:
    """Write the rows of a folder as a run does, without walk and broker. Returns seconds by the clock and of the processor."""
    question = Question.of(CaptionOptions(), "demo", None)
    store.add_batch(batch)
    folder = Path("/pictures/holiday 2026")
    clock, cpu = time.perf_counter(), time.process_time()
    for numbers in chunked(range(rows), JOBS_A_TRANSACTION):
        pending = [PendingImage(folder / f"IMG_{one:07d}.jpg", folder / f"IMG_{one:07d}.txt") for one in numbers]
        store.take_up([job_about(one, question, batch) for one in pending], batch.id, ())
    return time.perf_counter() - clock, time.process_time() - cpu


def size_of(store: Store) -> float:
    """Return the bytes of the tables and their indexes."""
    with reading(store.engine) as connection:
        if store.engine.dialect.name == "postgresql":
            return float(connection.execute(text("SELECT pg_total_relation_size('job')")).scalar_one())
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return float(pages * connection.execute(text("PRAGMA page_size")).scalar_one())


def timed(read: Callable[[], object]) -> float:
    """Return the median of some runs, in milliseconds. The first one builds the statement, and does not count."""
    read()
    took = []
    for _ in range(9):
        begun = time.perf_counter()
        read()
        took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def claim(store: Store, batch: Batch) -> None:
    """Claim 16 jobs and put them back, as a worker's group."""
    ids = [job.id for job in store.jobs(batch_id=batch.id, statuses=[JobStatus.QUEUED], limit=16)]
    store.claim(ids, "worker")
    store.recover("worker", died=False)


def cancel(store: Store, batch: Batch) -> tuple[float, float]:
    """Cancel the batch while another thread writes. Returns the seconds, and the other's longest wait in milliseconds."""
    done, waits = threading.Event(), [0.0]

    def write() -> None:
        number = 0
        while not done.is_set():
            begun = time.perf_counter()
            store.add([make_job(f"{batch.id}-{number}")])
            waits.append((time.perf_counter() - begun) * 1000)
            number += 1
            time.sleep(0.05)

    thread = threading.Thread(target=write)
    thread.start()
    begun = time.perf_counter()
    store.cancel_batch(batch.id)
    seconds = time.perf_counter() - begun
    done.set()
    thread.join()
    return seconds, max(waits)


@contextmanager
def opened(database: str) -> Iterator[Store]:
    """Open an empty database."""
    with tempfile.TemporaryDirectory(prefix="captionq-scale-") as folder:
        place = Path(folder)
        if database == "sqlite":
            store = Store(Settings(data_dir=place / "data", model="demo"))
            yield store
            store.close()
            return
        with postgres_server(safe=True) as server:
            url = server.create_database("scale")
            store = Store(Settings(data_dir=place / "data", model="demo", database_url=url))
            yield store
            store.close()


def loop_seconds() -> float:
    """Return the processor time of ten million additions."""
    begun, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begun


def table(found: Sequence[Figures]) -> str:
    """Draw the figures, a line for each number of rows."""
    names = [name for name in Figures.__dataclass_fields__ if name != "database"]
    lines = ["| database | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for one in found:
        cells = (
            f"{getattr(one, name):,.0f}" if getattr(one, name) >= 100 else f"{getattr(one, name):.2g}" for name in names
        )
        lines.append(f"| {one.database} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--million", is_flag=True, help="Also measure a million rows: some minutes.")
@click.option("--database", "databases", multiple=True, type=click.Choice(["sqlite", "postgres"]))
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench/scale.json"), show_default=True)
def main(million: bool, databases: tuple[str, ...], out: Path) -> None:
    """Measure the store at growing numbers of rows."""
    found: list[Figures] = []
    speed = loop_seconds()
    for database in databases or ("sqlite", "postgres"):
        with opened(database) as store:
            for rows in (*SIZES, MILLION) if million else SIZES:
                found.append(measure(store, rows, database))
                click.echo(table(found[-1:]))
    result = {"loop_seconds": speed, "store": [asdict(one) for one in found]}
    out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(table(found))


if __name__ == "__main__":
    main()
