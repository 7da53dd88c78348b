"""Several workers on one queue, of which one is killed and one suspended for longer than its lease: each picture once.

`CAPTIONQ_TEST_MANY_WORKERS=2000` takes so many pictures and one worker more (`make many-workers`): its network is cut until
others have done its jobs, while it goes on and holds the answers that it could not write.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from redis import Redis
from sqlalchemy import make_url, select

from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.queue.broker_socket import socket_path
from jobs.queue.worker_state import live_workers
from jobs.sampling import Sampling
from jobs.store.connection import reading
from jobs.store.file_tables import WRITTEN_FILE
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from tests.acceptance.test_caption import texts_of
from tests.support.known_models import know_built_in_models
from tests.support.namespaces import Namespace, are_possible, forwarded, namespace
from tests.support.postgres import only_postgres
from tests.support.processes import PATIENCE, Captionq, until
from tests.support.scenes import save_scenes

IS_LONG = "CAPTIONQ_TEST_MANY_WORKERS" in os.environ
PICTURES = int(os.environ.get("CAPTIONQ_TEST_MANY_WORKERS", "45"))
#: Seconds that the run may take.
RUN_SECONDS = (600 if IS_LONG else 60) + PICTURES
#: Seconds of a lease: the fewest that the settings allow.
LEASE = 5

pytestmark = pytest.mark.timeout(240 + RUN_SECONDS)


@dataclass
class Machine:
    """A worker's machine."""

    captionq: Captionq
    process: subprocess.Popen[str]
    namespace: Namespace | None

    @property
    def name(self) -> str:
        return (self.captionq.settings.data_dir / "worker.name").read_text()

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(self.process.pid)


@contextmanager
def machine(name: str, settings: Settings, folder: Path, number: int) -> Iterator[Machine]:
    """Start a worker on a machine of its own: with its data folder, and if possible with its network."""
    own = Settings(data_dir=folder / name, model="demo")
    own.make_folders()
    know_built_in_models(own)
    captionq = Captionq(own)
    database, broker = settings.database, f"unix://{quote(str(socket_path(settings)))}"
    with ExitStack() as network:
        place: Namespace | None = None
        if IS_LONG and are_possible():
            place = network.enter_context(namespace(number))
            url = make_url(database)
            postgres = Path(str(url.query["host"])) / ".s.PGSQL.5432"
            port = network.enter_context(forwarded(place.gateway, postgres))
            database = url.set(host=place.gateway, port=port, query={}).render_as_string()
            port = network.enter_context(forwarded(place.gateway, socket_path(settings)))
            broker = f"redis://{place.gateway}:{port}/0"
        captionq.environment |= {
            "CAPTIONQ_DATABASE_URL": database,
            "CAPTIONQ_REDIS_URL": broker,
            "CAPTIONQ_LEASE": str(LEASE),
            "CAPTIONQ_SLOTS": "4",
            "CAPTIONQ_CACHE": "false",
        }
        command = [*(place.prefix if place else []), captionq.script, "work"]
        log = network.enter_context((own.log_dir / "output").open("wb"))
        process = subprocess.Popen(command, env=captionq.environment, stdout=log, stderr=log, text=True)
        try:
            yield Machine(captionq, process, place)
        finally:
            captionq.kill_all()
            process.wait()


def running(store: Store, worker: str) -> list[str]:
    """Return the ids of a worker's running jobs."""
    return [job.id for job in store.jobs(statuses=[JobStatus.RUNNING]) if job.worker == worker]


def in_the_midst(store: Store, worker: str) -> bool:
    """Tell whether a worker has ended a job and is running others."""
    has_ended = any(job.worker == worker for job in store.jobs(statuses=[JobStatus.SUCCEEDED]))
    return has_ended and len(running(store, worker)) > 1


def written(store: Store) -> list[tuple[str, str]]:
    """Return the records of written files: the job and the path."""
    with reading(store.engine) as connection:
        found = connection.execute(select(WRITTEN_FILE.c.job_id, WRITTEN_FILE.c.path))
        return sorted((row.job_id, row.path) for row in found)


def state(store: Store, captions: dict[Path, str]) -> tuple[list[Job], list[int], list[tuple[str, str]]]:
    """Return all that a stale write would change: rows, texts and records."""
    times = [image.with_suffix(".txt").stat().st_mtime_ns for image in captions]
    return store.jobs(), times, written(store)


@only_postgres
def test_each_picture_is_captioned_once_whatever_happens_to_workers(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The healthy worker takes over the others' jobs. Those that wake up or join again change no row, no file and no record."""
    captions = save_scenes(tmp_path / "pictures", PICTURES)
    names = ["healthy", "killed", "suspended", *(["cut off"] if IS_LONG else [])]
    with ExitStack() as hosts:
        machines = {
            name: hosts.enter_context(machine(name, settings, tmp_path, number))
            for number, name in enumerate(names, start=1)
        }
        until(lambda: len(live_workers(connection)) == len(names), "the workers")
        batch = Batch(description="holiday", model="demo")
        question = Question(model="demo", prompt="Describe this image.", sampling=Sampling(max_tokens=24))
        images = [PendingImage.at(image, image.with_suffix(".txt")) for image in captions]
        FolderRun(question, batch, store=store, connection=connection).submit(images)
        lost: dict[str, list[str]] = {}
        for name in names[1:]:
            host = machines[name]
            until(lambda one=host: in_the_midst(store, one.name), f"jobs of the worker to be {name}")  # type: ignore[misc]
            if name == "killed":
                host.worker.kill()
            elif name == "suspended":
                host.worker.suspend()
            elif host.namespace is not None:
                host.namespace.cut()
            lost[name] = running(store, host.name)
        assert all(lost.values())
        until(lambda: not any(running(store, machines[name].name) for name in lost), "the takeover", LEASE + 55)
        until(lambda: not store.open_jobs(batch.id), "the end of the run", RUN_SECONDS)
        before = state(store, captions)
        woken = time.time()
        machines["suspended"].worker.resume()
        if IS_LONG and machines["cut off"].namespace is not None:
            machines["cut off"].namespace.mend()
        # A worker looks at the rows of its jobs as soon as it is awake, or has its connections again.
        seen = len(names) - 1
        until(lambda: sum(one.at > woken + 2 for one in live_workers(connection)) == seen, "the workers again")
        assert state(store, captions) == before
        for name in ("healthy", *names[2:]):
            machines[name].worker.terminate()
            machines[name].process.wait(PATIENCE)
    rows = store.jobs(batch_id=batch.id)
    assert {row.source: (row.status, row.text) for row in rows} == {
        image.as_uri(): (JobStatus.SUCCEEDED, caption) for image, caption in captions.items()
    }
    assert texts_of(captions) == captions
    taken_over = {job_id for ids in lost.values() for job_id in ids}
    attempts = {row.id: row.attempts for row in rows}
    assert {job_id for job_id, count in attempts.items() if count == 2} >= taken_over
    assert max(attempts.values()) == 2
    assert len({path for _, path in before[2]}) == len(captions)
