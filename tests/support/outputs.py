"""Jobs about real image files, and their ends, without a model."""

from __future__ import annotations

import atexit
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from jobs.captions.outputs.exiftool import ExifTool
from jobs.captions.text_files import fingerprint
from jobs.options.delivery import DeliveryOptions
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import RESULT
from worker.dispatch.outcomes.output_delivery import deliver, deliver_beside

#: For all tests of a process: starting it takes longer than its work.
_EXIFTOOL = ExifTool()
atexit.register(_EXIFTOOL.close)


def save_picture(path: Path, **options: Any) -> Path:
    """Write a picture of noise, in which every changed pixel shows."""
    Image.effect_noise((40, 30), 90).convert("RGB").save(path, **options)
    return path


def make_run(store: Store) -> Batch:
    """Store the batch of a caption run."""
    batch = Batch(description="pictures", model="demo")
    store.add_batch(batch)
    return batch


def queue_job(store: Store, image: Path, batch: Batch, **delivery: Any) -> Job:
    """Store a queued job about an image file, whose text lies beside it."""
    request = Request.about_image(image, model="demo", prompt="Describe this image.", sampling=Sampling())
    output = image.with_suffix(".txt")
    job = Job(
        batch_id=batch.id,
        model="demo",
        request=request.model_dump_json(),
        digest=request.digest,
        source=image.as_uri(),
        output=output.as_uri(),
        output_before=fingerprint(output.read_bytes() if output.exists() else None),
        delivery=DeliveryOptions(**delivery).stored,
    )
    store.add([job])
    return job


def claim_job(store: Store, image: Path, batch: Batch, **delivery: Any) -> Job:
    """Store a running job about an image file, whose text lies beside it."""
    job = queue_job(store, image, batch, **delivery)
    return store.claim([job.id], "worker")[job.id]


def write_files(store: Store, job: Job, text: str = RESULT.text) -> None:
    """Write the files of an answer, as the worker does before the job's end."""
    assert deliver(job, text, store, "worker", _EXIFTOOL)
    deliver_beside(job, text, replace(RESULT, text=text), store, "worker")


def captioned(store: Store, image: Path, batch: Batch, text: str = RESULT.text, **delivery: Any) -> Job:
    """Caption an image: a job from its row to its end."""
    job = claim_job(store, image, batch, **delivery)
    write_files(store, job, text)
    store.succeed(job.id, replace(RESULT, text=text))
    return job


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files of a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
