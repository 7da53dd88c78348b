"""The seconds until a run over a large folder begins with its new images, as JSON.

    python -m bench.big_folder [--folders 100] [--images 100] [--new 100] [--rounds 3]

The folder has images whose texts captionq wrote, and new ones among them: 20,000 files by default. `warm`: a worker waits with
the model loaded; `cold`: nothing runs. `claimed` is the time from the command to the moment when the worker takes the first new
image, `captioned` to its result; `cpu` is the CPU time of the command and of the processes that it starts and waits for.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.captions.text_files import fingerprint, text_bytes
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, job_about
from jobs.sampling import Sampling
from jobs.store.result import FileChange, Result
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus

_HERE = Path(__file__).resolve().parents[1]
_PICTURE = _HERE / "examples" / "scene-02.png"
_TEXT = "A cyan square, a purple triangle and a pink triangle in a column on a black background."
_RESULT = Result(_TEXT, "stop", 40, 16, 20, 0.0, 0.0, 0.0)
#: Seconds that a run may take.
_PATIENCE = 600


def main() -> None:
    """Parse the arguments, measure, print the medians."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--folders", type=int, default=100)
    made.add_argument("--images", type=int, default=100, help="captioned images a folder")
    made.add_argument("--new", type=int, default=100, help="new images in all")
    made.add_argument("--rounds", type=int, default=3)
    arguments = made.parse_args()
    with TemporaryDirectory(prefix="captionq-big-", ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder) / "data", model="demo")
        images = make_tree(Path(folder) / "pictures", arguments.folders, arguments.images)
        record_texts(images, settings)
        rounds: dict[str, list[dict[str, float]]] = {"warm": [], "cold": []}
        for _ in range(arguments.rounds):
            with worker(settings):
                rounds["warm"].append(measure(images, arguments.new, settings))
            rounds["cold"].append(measure(images, arguments.new, settings))
        files = sum(len(names) for _, _, names in os.walk(Path(folder) / "pictures"))
    medians = {
        state: {name: round(statistics.median(one[name] for one in runs), 2) for name in runs[0]}
        for state, runs in rounds.items()
    }
    print(json.dumps({"files": files, "new": arguments.new, **medians}, indent=1))


def make_tree(place: Path, folders: int, count: int) -> list[Path]:
    """Make folders of images with texts. Returns the images. The files of a folder are names of one image and one text."""
    images = [
        place / f"folder-{number:04}" / f"IMG_{image:05}.png" for number in range(folders) for image in range(count)
    ]
    for image in images:
        text = image.with_suffix(".txt")
        if not image.parent.exists():
            image.parent.mkdir(parents=True)
            shutil.copyfile(_PICTURE, image)
            text.write_bytes(text_bytes(_TEXT))
            first, first_text = image, text
        else:
            image.hardlink_to(first)
            text.hardlink_to(first_text)
    return images


def record_texts(images: list[Path], settings: Settings) -> None:
    """Store the jobs that wrote the texts."""
    store, question, batch = (
        Store(settings),
        Question("demo", "Describe this image.", Sampling()),
        Batch(description="earlier", model="demo"),
    )
    store.add_batch(batch)
    change = FileChange(None, fingerprint(text_bytes(_TEXT)), None, None)
    ended = {"status": JobStatus.SUCCEEDED, "finished_at": time.time(), **asdict(change), **asdict(_RESULT)}
    for chunk in chunked(images, JOBS_A_TRANSACTION):
        jobs = [job_about(PendingImage.at(image, image.with_suffix(".txt")), question, batch) for image in chunk]
        for job in jobs:
            for name, value in ended.items():
                setattr(job, name, value)
        store.add(jobs)
    store.close()


def measure(images: list[Path], new: int, settings: Settings) -> dict[str, float]:
    """Add new images, caption them, and take them away again."""
    added = [
        image.with_name(f"NEW_{number:05}.png")
        for number, image in enumerate(images[:: max(1, len(images) // new)][:new])
    ]
    for image in added:
        shutil.copyfile(_PICTURE, image)
    begun, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run(settings, images[0].parents[1])
    whole, after = time.time() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    store = Store(settings)
    jobs = store.jobs(newest_first=True, limit=new)
    store.close()
    assert all(job.created_at > begun for job in jobs), "fewer images were captioned than were new"
    for image in added:
        image.unlink()
        image.with_suffix(".txt").unlink()
    return {
        "claimed": min(job.started_at or 0.0 for job in jobs) - begun,
        "captioned": min(job.finished_at or 0.0 for job in jobs) - begun,
        "whole": whole,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    """Run a worker that has its model loaded."""
    process = subprocess.Popen(
        command("work", "--until-eof"),
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    try:
        with TemporaryDirectory() as folder:
            run(settings, Path(shutil.copy(_PICTURE, folder)))
        yield
    finally:
        process.stdin.close()
        process.wait(_PATIENCE)


def run(settings: Settings, path: Path) -> None:
    """Caption the images of a path. Raises CalledProcessError."""
    caption = command("caption", str(path), "--model", "demo")
    subprocess.run(caption, env=environment(settings), check=True, capture_output=True, timeout=_PATIENCE)


def command(*arguments: str) -> list[str]:
    """Return a command of this checkout."""
    return [sys.executable, str(_HERE / "captionq.py"), *arguments]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a command: the data folder, no result cache, and no other setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAPTIONQ_")}
    return kept | {"PYTHONPATH": str(_HERE), "CAPTIONQ_DATA_DIR": str(settings.data_dir), "CAPTIONQ_CACHE": "false"}


if __name__ == "__main__":
    main()
