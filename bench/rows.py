"""The processor time of a row: it is queued, and cancelled, with nothing beside the command but database and broker. As JSON.

    python -m bench.rows [--rows 100000] [--rounds 3] [--database sqlite|postgres]

`…_cpu` is the CPU time of this process a row, in microseconds: on Postgres, without the server's. `…_rate` is rows a second by
the clock, which depend on the other work of the machine. Each is the median of the rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median

import click

from bench.scale_processes import Site, opened
from jobs.captions.text_places import TextPlace
from jobs.creation.cancel import cancel_run
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.models.model_info import STUB
from jobs.options.caption_options import CaptionOptions
from jobs.store.tables import Batch


def measure(site: Site, rows: int, number: int) -> dict[str, float]:
    """Queue the pictures of a folder, as a walk names them, and cancel them."""
    folder = site.folder / f"pictures-{number}"
    pending = (
        PendingImage(TextPlace(folder, f"IMG_{one:07d}.jpg", folder, f"IMG_{one:07d}.txt")) for one in range(rows)
    )
    batch, question = Batch(description="pictures", model=STUB), Question.of(CaptionOptions(), STUB, None)
    store, connection = site.store, site.connection
    queued = _timed(rows, lambda: FolderRun(question, batch, store=store, connection=connection).submit(pending))
    cancelled = _timed(rows, lambda: cancel_run(batch.id, store=store, connection=connection))
    assert store.open_jobs(batch.id) == 0
    return {
        "queued_rate": queued[0],
        "queued_cpu": queued[1],
        "cancelled_rate": cancelled[0],
        "cancelled_cpu": cancelled[1],
    }


def _timed(rows: int, change: Callable[[], object]) -> tuple[float, float]:
    """Return rows a second by the clock, and microseconds of CPU a row."""
    begun, cpu = time.perf_counter(), time.process_time()
    change()
    return rows / (time.perf_counter() - begun), (time.process_time() - cpu) / rows * 1e6


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--database", default="sqlite", show_default=True, type=click.Choice(["sqlite", "postgres"]))
def main(rows: int, rounds: int, database: str) -> None:
    """Measure the processor time of a row."""
    with opened(database) as site:
        runs = [measure(site, rows, number) for number in range(rounds)]
    medians = {name: round(median(run[name] for run in runs), 1) for name in runs[0]}
    click.echo(json.dumps({"database": database, "rows": rows, **medians}))


if __name__ == "__main__":
    main()
