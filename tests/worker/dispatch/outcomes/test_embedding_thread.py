"""Captions that a worker writes into images beside decoding."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.captions.outputs.exiftool import ExifTool
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.options.delivery import DeliveryOptions
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.outputs import save_picture
from tests.support.rows import RESULT, make_job
from tests.support.scenes import save_scenes
from worker import service
from worker.dispatch.outcomes.embedding_thread import MOST_WAITING, EmbeddingThread
from worker.dispatch.outcomes.output_delivery import deliver

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


@needs_exiftool
@pytest.mark.usefixtures("known_models")
@pytest.mark.timeout(300)
def test_a_worker_embeds_beside_its_steps(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is written in the worker's own thread; a file that cannot be written fails its own job, and all leases end."""
    captions = save_scenes(tmp_path / "pictures", 6)
    bad = save_picture(tmp_path / "pictures" / "bad.bmp")
    threads = set[str]()

    def watched(*arguments: Any) -> bool:
        threads.add(threading.current_thread().name)
        return deliver(*arguments)

    monkeypatch.setattr("worker.dispatch.outcomes.job_outcomes.deliver", watched)
    question = Question("demo", "Describe this image.", Sampling(max_tokens=64), None, DeliveryOptions(embed=True))
    batch = Batch(description="test", model="demo")
    wanted = [PendingImage.at(path, path.with_suffix(".txt")) for path in (*captions, bad)]
    FolderRun(question, batch, store=store, connection=connection).submit(wanted)
    service.run(settings, burst=True)
    rows = {row.source: row for row in store.jobs(batch_id=batch.id)}
    failed = rows.pop(bad.as_uri())
    assert (failed.status, failed.error_code) == (JobStatus.FAILED, "output_occupied")
    for path, caption in captions.items():
        assert (rows[path.as_uri()].status, rows[path.as_uri()].text) == (JobStatus.SUCCEEDED, caption)
        assert caption.encode() in path.read_bytes()
        assert path.with_suffix(".txt").read_text() == caption + "\n"
    assert {name.split("_")[0] for name in threads} == {"embed"}
    assert connection.keys("rq:execution*") == []


def test_deliveries_end_in_order_and_few_wait() -> None:
    """The caller goes on while a file is written, and waits when too many are."""
    thread, gate, done = EmbeddingThread(), threading.Event(), list[int]()
    jobs = [make_job(str(number)) for number in range(MOST_WAITING + 2)]

    def write(number: int, _: ExifTool) -> bool:
        done.append(number)
        return gate.wait()

    for number, job in enumerate(jobs):
        thread.begin(job, RESULT, partial(write, number))
        if number == 0:
            assert list(thread.ended(0.0)) == []
    gate.set()
    ended = [delivery.job for delivery in thread.ended(0.0)]
    assert len(ended) >= 2
    thread.close()
    assert [*ended, *(delivery.job for delivery in thread.ended(0.0))] == jobs
    assert done == list(range(len(jobs)))
