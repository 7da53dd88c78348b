"""A small life of captionq in a process that a fault may end: uploads, requests, a folder run, a worker and webhooks.

It can be repeated as a client, a person and a supervisor would do it: requests with their `Idempotency-Key`, the run by its
command, the worker by its start.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import closing
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from jobs import faults
from jobs.configuration.settings import Settings
from jobs.creation.create import Creation, create
from jobs.creation.existing_texts import PendingImage, plan_images
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.images.stored.blobs import blob_address, put_blob
from jobs.images.walking.folder_images import by_folder
from jobs.models.model_info import STUB
from jobs.options.composition import CompositionOptions
from jobs.queue import broker
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from jobs.webhooks.delivery import Deliverer
from tests.support.webhooks import SECRET
from worker import service
from worker.dispatch.faults import database_patience, held_outcomes, patient_start

#: Requests of clients, and pictures of the folder.
REQUESTS, PICTURES = 3, 4
#: Errors end the process with this status, as a crash does.
FAILED = 3
_PROMPT = "Describe this image."


class Life:
    """The scenario in a data folder and a folder of pictures, each turn in a process of its own."""

    def __init__(self, settings: Settings, pictures: Path, hook: str) -> None:
        values: dict[str, Any] = {"allowed_networks": ["127.0.0.1/32"], "webhook_secret": SECRET, "slots": 6}
        self.settings = Settings(data_dir=settings.data_dir, model=STUB, **values)
        self.pictures, self.hook = pictures, hook
        self._put_pictures()
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        # The fork server imports once for all processes.
        self._context.set_forkserver_preload(["tests.faults.scenario"])

    @property
    def acknowledged(self) -> Path:
        """The file with the id of each request that was acknowledged."""
        return self.settings.data_dir.parent / "acknowledged"

    def turn(self, environment: Mapping[str, str] | None = None) -> int:
        """Live once in a process with these variables. Returns its exit status."""
        process = self._context.Process(target=_live, args=(self, dict(environment or {})))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def begin_again(self, migrated: Path) -> None:
        """Bring everything but the broker's process back to the beginning."""
        for path in self.settings.data_dir.iterdir():
            if path.is_file():
                path.unlink()
        for folder in (self.settings.blob_dir, self.pictures):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copyfile(migrated, self.settings.data_dir / "captionq.db")
        self.settings.make_folders()
        self._put_pictures()

    def _put_pictures(self) -> None:
        self.pictures.mkdir()
        for number in range(PICTURES):
            (self.pictures / f"{number}.jpg").write_bytes(b"the stub opens no picture %d" % number)
        self.acknowledged.write_text("")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_context"}


def _live(life: Life, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    faults._plan.cache_clear()
    os._exit(live(life))


def live(life: Life) -> int:
    """Do everything once, and return the exit status of a process that did this."""
    _hurry()
    status = 0
    # A part that fails does not keep the others from their work: they are different processes elsewhere.
    for part in (_ask, _caption, _work, _deliver):
        try:
            part(life)
        except Exception:
            status = FAILED
    return status


def _hurry() -> None:
    """Wait less for the end of a fault: disks of these tests fail for a third of a second, not for minutes."""
    patient_start.OPEN_PAUSE = 0.4
    database_patience.PAUSES = (0.1, 0.2, 0.4, 0.4)
    held_outcomes.ROOM_CHECK_EVERY = 0.4


def _ask(life: Life) -> None:
    """Be the API, and clients that send each request until it is acknowledged."""
    known = set(life.acknowledged.read_text().split())
    with closing(Store(life.settings)) as store, closing(broker.find_or_start(life.settings).connection) as connection:
        for number in range(REQUESTS):
            sha256, _ = put_blob([b"picture %d" % number], life.settings, most=100, too_large=ValueError)  # type: ignore[arg-type]
            image = Request.about_image(Path("/x.jpg"), model=STUB, prompt=f"Question {number}", sampling=Sampling())
            asked = image.model_dump_json().replace("file:///x.jpg", blob_address(sha256))
            job = Job(
                lane=Lane.INTERACTIVE, model=STUB, request=asked, digest=image.digest, idempotency_key=f"k{number}"
            )
            hooks = [Webhook(url=life.hook, job_id=job.id)]
            created = create(
                Creation([job], webhooks=hooks), store=store, connection=connection, settings=life.settings
            )
            if created.made.id not in known:
                with life.acknowledged.open("a") as file:
                    file.write(f"{created.made.id}\n")


def _caption(life: Life) -> None:
    """Be `captionq caption`: caption the pictures that have no text, and take over what an earlier command left."""
    question = Question(STUB, _PROMPT, Sampling())
    with closing(Store(life.settings)) as store, closing(broker.find_or_start(life.settings).connection) as connection:
        dead = [batch.id for batch in store.open_batches()]
        images = by_folder(sorted(life.pictures.glob("*.jpg")))
        planned = plan_images(images, CompositionOptions(), store=store, digest_of=lambda image: str(image))
        pending = [one for one in planned if isinstance(one, PendingImage)]
        if pending:
            FolderRun(
                question, Batch(description="run", model=STUB), store=store, connection=connection, dead=dead
            ).submit(pending)


def _work(life: Life) -> None:
    service.run(life.settings, burst=True)


def _deliver(life: Life) -> None:
    """Be the API's background task that delivers webhooks."""
    with closing(Store(life.settings)) as store:
        hooks = WebhookStore(store.engine)
        deliverer = Deliverer(hooks, life.settings)
        until = time.monotonic() + 5
        while hooks.due(time.time()) and time.monotonic() < until:
            deliverer.run_once(lambda webhook: b'{"id": "%s"}' % (webhook.job_id or "").encode())
            time.sleep(0.01)
        deliverer.close()
