"""Two workers on one queue, of which only one reaches the folder of the pictures."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.mounts import use_mounts
from jobs.queue.broker_socket import socket_path
from jobs.queue.worker_state import live_workers
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.known_models import know_built_in_models
from tests.support.object_store import BUCKET, object_store
from tests.support.processes import Captionq, ended, until
from tests.support.scenes import save_scenes

#: The folder as rows name it. No machine of this test has it under this name.
NAMED = "/Volumes/Holiday Photos"
_QUESTION = Question(model="demo", prompt="Describe this image.", sampling=Sampling(max_tokens=24))


@pytest.fixture(autouse=True)
def mounts_of_this_process() -> Iterator[None]:
    """Leave no map of mounts behind."""
    yield
    use_mounts({})


def worker(settings: Settings, folder: Path, place: Path) -> tuple[Captionq, subprocess.Popen[str]]:
    """Start the worker of another machine, on which the pictures are in `place`."""
    own = Settings(data_dir=folder, model="demo")
    own.make_folders()
    know_built_in_models(own)
    machine = Captionq(own)
    machine.environment |= {
        "CAPTIONQ_DATABASE_URL": settings.database,
        "CAPTIONQ_REDIS_URL": f"unix://{quote(str(socket_path(settings)))}",
        "CAPTIONQ_PATH_MAP": f"{NAMED}={place}",
    }
    return machine, machine.start("work")


def queue(images: list[Path], store: Store, connection: Redis) -> Batch:
    """Queue a run about these pictures."""
    batch = Batch(description="holiday", model="demo")
    wanted = [PendingImage.at(image, image.with_suffix(".txt")) for image in images]
    FolderRun(_QUESTION, batch, store=store, connection=connection).submit(wanted)
    return batch


@pytest.mark.timeout(400)
def test_a_worker_that_does_not_reach_a_picture_leaves_it_to_one_that_does(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """Every picture gets its text, from the worker with the mount. Without that worker a job fails, with the reason."""
    here = tmp_path / "mnt" / "photos"
    here.mkdir(parents=True)
    images = list(save_scenes(here, 12))
    use_mounts({NAMED: str(here)})
    unmounted = tmp_path / "unmounted"
    unmounted.mkdir()
    blind, blind_process = worker(settings, tmp_path / "blind", unmounted)
    try:
        until(lambda: len(live_workers(connection)) == 1, "the worker without the mount")
        (blind_name,) = [state.name for state in live_workers(connection)]
        seeing, seeing_process = worker(settings, tmp_path / "seeing", here)
        try:
            until(lambda: len(live_workers(connection)) == 2, "the worker with the mount")
            batch = queue(images, store, connection)
            until(lambda: not store.open_jobs(batch.id), "the end of the run")
            jobs = store.jobs(batch_id=batch.id)
            assert [job.error_message for job in jobs if job.status != JobStatus.SUCCEEDED] == []
            assert all(job.source and job.source.startswith("file:///Volumes/Holiday%20Photos/") for job in jobs)
            assert all(job.worker != blind_name for job in jobs)
            assert all(image.with_suffix(".txt").read_text().strip() for image in images)
        finally:
            seeing_process.terminate()
            ended(seeing_process)
            seeing.kill_all()
        later = here / "later.png"
        shutil.copy(images[0], later)
        batch = queue([later], store, connection)
        until(lambda: not store.open_jobs(batch.id), "the end of the job")
        (job,) = store.jobs(batch_id=batch.id)
        assert (job.status, job.error_code) == (JobStatus.FAILED, "image_not_reached")
        assert job.error_message is not None
        assert "CAPTIONQ_PATH_MAP" in job.error_message
        assert job.attempts == settings.max_attempts
    finally:
        blind_process.terminate()
        ended(blind_process)
        blind.kill_all()


@pytest.mark.timeout(400)
def test_pictures_in_s3_get_their_texts_beside_them(captionq: Captionq, tmp_path: Path) -> None:
    """A second run skips them, undo removes the texts, and nothing that captionq stores or logs holds the secret."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    images = list(save_scenes(pictures, 3))
    with object_store(tmp_path) as store:
        captionq.environment |= store.environment
        for image in images:
            store.put(f"run/deep er/{image.name}", image.read_bytes())
        store.put("run/broken.jpg", b"no picture")
        keys = [f"run/deep er/{image.stem}.txt" for image in images]
        first = captionq.run("caption", f"s3://{BUCKET}/run")
        assert first.returncode == 1, first.stderr
        assert "broken.jpg" in first.stdout + first.stderr
        assert all((store.get(key) or b"").strip() for key in keys)
        again = captionq.run("caption", f"s3://{BUCKET}/run/deep er")
        assert (again.returncode, "skipped" in again.stdout + again.stderr) == (0, True), again.stderr
        undone = captionq.run("undo", "last")
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert [store.get(key) for key in keys] == [None] * 3
        refused = captionq.run("caption", f"s3://{BUCKET}/run", "--embed")
        assert (refused.returncode, "s3://" in refused.stderr) == (2, True)
        secret = store.environment["AWS_SECRET_ACCESS_KEY"].encode()
    kept = [path for path in captionq.settings.data_dir.rglob("*") if path.is_file()]
    assert kept
    assert not any(secret in path.read_bytes() for path in kept)
