"""The time to an interactive request's first token during a bulk run, as JSON.

    python -m bench.latency MODEL PICTURES [--slots 32] [--preload LIBRARY]

Requests for one token, one after the other, in the interactive lane of a warm captionq: first on an idle worker (`alone`), then
during a bulk run (`beside`). Each is about a new picture. Seconds from the row's creation to its end, from the store.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.tasks import PIXEL_SETTINGS, make_task, parser
from cli.benchmark.contest import Task
from cli.benchmark.pictures import save_pictures
from cli.benchmark.product import Product, product
from jobs.errors import BenchmarkError
from jobs.queue import broker, lanes
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import OPEN, Job, JobStatus, Lane

#: Requests on an idle worker, and most requests during the bulk run.
REQUESTS = 12
#: Pictures that are added to the bulk run, so that it outlasts the requests.
MORE_BULK = 40
#: Seconds between an answer and the next request, so that requests arrive at any moment of a decode step.
PAUSE = 0.31


def run_latency(task: Task) -> dict[str, object]:
    """Return the seconds of each request, their medians, and the medians' ratio. Raises BenchmarkError."""
    with product(task) as running, ThreadPoolExecutor(1) as threads, TemporaryDirectory() as folder:
        pictures = save_pictures(Path(folder), 2 * REQUESTS + MORE_BULK, seed=2)
        asked_alone, asked_beside = pictures[:REQUESTS], pictures[REQUESTS : 2 * REQUESTS]
        store = Store(running.settings)
        alone = [_ask(running, store, task, picture) for picture in asked_alone]
        bulk = threads.submit(running.caption, [*task.images, *pictures[2 * REQUESTS :]])
        _wait_for_full_batch(store, bulk)
        beside: list[float] = []
        while len(beside) < REQUESTS and store.counts()[JobStatus.QUEUED]:
            beside.append(_ask(running, store, task, asked_beside[len(beside)]))
            time.sleep(PAUSE)
        bulk.result()
        store.close()
    if not beside:
        raise BenchmarkError("The bulk run was over before a request could be made; use more images.")
    medians = statistics.median(alone), statistics.median(beside)
    return {"alone": alone, "beside": beside, "medians": medians, "ratio": medians[1] / medians[0]}


def _wait_for_full_batch(store: Store, bulk: Future[list[Job]]) -> None:
    done = store.counts()[JobStatus.SUCCEEDED]
    while not bulk.done() and store.counts()[JobStatus.SUCCEEDED] < done + 2:
        time.sleep(0.05)


def _ask(running: Product, store: Store, task: Task, image: Path) -> float:
    """Ask one question about one picture, for one token; return the seconds until the answer."""
    request = Request.about_image(image, model=task.model, prompt=task.prompt, sampling=Sampling(max_tokens=1))
    job = Job(
        lane=Lane.INTERACTIVE,
        model=task.model,
        request=request.model_dump_json(),
        digest=request.digest,
        source=image.as_uri(),
    )
    connection = broker.find(running.settings)
    if connection is None:
        raise BenchmarkError("The broker has gone.")
    store.add([job])
    lanes.push(connection, Lane.INTERACTIVE, [job.id])
    connection.close()
    while (ended := store.job(job.id)).status in OPEN:
        time.sleep(0.02)
    if ended.status != JobStatus.SUCCEEDED or ended.finished_at is None:
        raise BenchmarkError(f"A request failed: {ended.error_message}")
    return ended.finished_at - ended.created_at


def main() -> None:
    """Parse the arguments and measure."""
    made = parser(__doc__)
    made.add_argument("--pixels", choices=list(PIXEL_SETTINGS), default="full")
    arguments = made.parse_args()
    with TemporaryDirectory() as folder:
        print(json.dumps(run_latency(make_task(arguments, Path(folder), PIXEL_SETTINGS[arguments.pixels])), indent=1))


if __name__ == "__main__":
    main()
