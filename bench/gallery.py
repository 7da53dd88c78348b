"""The page of a run with very many pictures, in a real Chromium: first paint, ready, a search, and memory while it scrolls.

    python -m bench.gallery [--pictures 100000] [--rounds 3]

The rows have ended before the server starts, and no worker runs. The pictures share 64 files, so thumbnails are made once. Times
are medians, in milliseconds, from the start of the navigation; memory is that of the page's scripts after a collection.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import click
from playwright.sync_api import Page
from sqlalchemy import select
from sqlmodel import col

from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.store.connection import writing
from jobs.store.pictures.search_words import index_words
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job, JobStatus
from tests.support.browser import chromium
from tests.support.processes import SCRIPT
from tests.support.rows import make_job
from tests.support.scenes import save_scenes
from tests.support.serving import serving

FILES = 64
#: How often the page is scrolled by a screen, in steps of a hundredth of its height.
SCROLLS = 100
_COLUMNS = [col(one) for one in (Job.id, Job.batch_id, Job.source, Job.text, Job.output_text, Job.edited_text)]
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


@click.command(help=__doc__)
@click.option("--pictures", default=100_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(pictures: int, rounds: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="captionq-gallery-") as folder:
        settings = Settings(data_dir=Path(folder) / "data", model="demo")
        settings.make_folders()
        save_scenes(Path(folder) / "pictures", FILES)
        run = fill(settings, Path(folder) / "pictures", pictures)
        with serving(settings, "--no-worker", ready=False, script=str(SCRIPT)) as served, chromium() as browser:
            path = f"{served.url}/runs/{run}"
            for name, address in (
                ("all", path),
                ("a rare word", f"{path}?search=walrus"),
                ("a word of all", f"{path}?search=word0"),
            ):
                times = zip(*(opened(browser.new_page(), address) for _ in range(rounds)), strict=True)
                paint, loaded = map(median, times)
                click.echo(f"{name:14} first paint {paint:5.0f} ms, loaded {loaded:5.0f} ms")
            page = browser.new_page()
            page.goto(path)
            for done, (heap, nodes) in enumerate(scrolled(page)):
                click.echo(f"scrolled {done * 25:3}%  heap {heap / 1e6:.1f} MB, {nodes} elements")


def fill(settings: Settings, folder: Path, pictures: int) -> str:
    """Write a run whose jobs have succeeded, with captions of fifty words. Returns its id."""
    chooser = random.Random(0)
    files = sorted(folder.iterdir())
    store = Store(settings)
    batch = Batch(description="pictures", model="demo", kind=BatchKind.FOLDER)
    store.add_batch(batch)
    for numbers in chunked(range(pictures), 1000):
        jobs = [ended(batch, number, files[number % FILES], chooser) for number in numbers]
        ids = [job.id for job in jobs]
        store.add(jobs)
        with writing(store.engine) as connection:
            index_words(connection, *connection.execute(select(*_COLUMNS).where(col(Job.id).in_(ids))))
    store.close()
    return batch.id


def ended(batch: Batch, number: int, file: Path, chooser: random.Random) -> Job:
    """Make the row of a captioned picture. Every caption has `word0`, one in a thousand a walrus."""
    job = make_job(f"IMG_{number:07}", batch)
    words = ["word0", *(f"word{int(chooser.paretovariate(1)) % 5000}" for _ in range(48))]
    job.text = " ".join([*words, "walrus" if number % 1000 == 0 else "picture"])
    job.source, job.status, job.finish_reason = file.as_uri(), JobStatus.SUCCEEDED, "stop"
    return job


def opened(page: Page, address: str) -> tuple[float, float]:
    """Open the page anew. Returns the milliseconds to the first paint with content, and to the end of loading."""
    page.goto(address)
    page.wait_for_function(_PAINT)
    times = float(page.evaluate(_PAINT)), float(page.evaluate(_LOADED))
    page.close()
    return times


def scrolled(page: Page) -> Iterator[tuple[int, int]]:
    """Scroll from the top to the bottom. Yields the bytes of the scripts' heap and the elements, at each quarter."""
    session = page.context.new_cdp_session(page)
    for step in range(SCROLLS + 1):
        page.evaluate(f"scrollTo(0, document.documentElement.scrollHeight * {step} / {SCROLLS})")
        page.wait_for_timeout(100)
        if step % (SCROLLS // 4) == 0:
            session.send("HeapProfiler.collectGarbage")
            heap = session.send("Runtime.getHeapUsage")["usedSize"]
            yield heap, page.evaluate("document.getElementsByTagName('*').length")


if __name__ == "__main__":
    main()
