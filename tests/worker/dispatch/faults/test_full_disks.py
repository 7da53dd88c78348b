"""Texts that have no room, and folders that take none: real disks, made small or read-only."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import push
from jobs.requests import Message, Request, path_of
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.disks import fill, mounted
from tests.support.processes import until
from tests.worker.dispatch.faults.conftest import QueueTexts
from tests.worker.dispatch.test_metal_worker import assert_nothing_is_left
from worker import service
from worker.pipeline.stub_pipeline import StubPipeline

pytestmark = pytest.mark.timeout(300)


def test_texts_without_room_wait_and_a_chat_does_not(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One sentence; no text is lost or generated twice; the run goes on by itself when there is room."""
    with mounted(tmp_path / "disk", "1m") as disk, caplog.at_level(logging.WARNING, "captionq.worker"):
        jobs = queue_texts(disk / "pictures", 60)
        ballast = fill(disk)

        def chat_and_make_room() -> None:
            until(lambda: "The worker keeps its texts" in caplog.text, "the sentence")
            request = Request(model="stub", messages=[Message(role="user", content="Hello")])
            chat = Job(model="stub", request=request.model_dump_json(), digest=request.digest, lane=Lane.INTERACTIVE)
            store.add([chat])
            push(connection, Lane.INTERACTIVE, [chat.id])
            until(lambda: store.job(chat.id).status == JobStatus.SUCCEEDED, "the chat")
            assert not list((disk / "pictures").iterdir())
            ballast.unlink()

        thread = threading.Thread(target=chat_and_make_room)
        thread.start()
        service.run(stub, burst=True)
        thread.join()
        rows = store.those([job.id for job in jobs])
        assert {(row.status, row.attempts, row.deaths) for row in rows} == {(JobStatus.SUCCEEDED, 1, 0)}
        assert [path_of(row.output or "").read_text() for row in rows] == [f"{row.text}\n" for row in rows]
    assert caplog.text.count("No space left on device") == 1
    assert_nothing_is_left(connection)


def test_jobs_of_a_read_only_folder_fail_at_once_and_nothing_is_generated(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folder became read-only after its pictures were queued. Its jobs name it; other folders are not concerned."""
    begun = list[str]()
    begin = StubPipeline.begin

    def note_and_begin(self: StubPipeline, key: str, *arguments: object, **options: object) -> None:
        begun.append(key)
        begin(self, key, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(StubPipeline, "begin", note_and_begin)
    with mounted(tmp_path / "disk", "1m", "ro") as disk:
        refused, fine = queue_texts(disk, 20), queue_texts(tmp_path / "pictures", 2)
        service.run(stub, burst=True)
    rows = store.those([job.id for job in refused])
    assert {(row.status, row.error_code, row.attempts) for row in rows} == {(JobStatus.FAILED, "output_forbidden", 1)}
    assert "No text can be written into the folder 'disk'" in (rows[0].error_message or "")
    assert sorted(begun) == sorted(job.id for job in fine)
