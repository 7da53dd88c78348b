"""A worker's last step: texts that a person wrote since a job was queued stay, and no replaced text is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.captions.text_files import fingerprint
from jobs.errors import OutputChangedError, OutputOccupiedError
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.rows import make_job
from worker.dispatch.output_delivery import deliver


def claimed(store: Store, output: Path, before: bytes | None = None) -> Job:
    """Add a running job that writes this file, which had that content when the job was queued."""
    job = make_job()
    job.output, job.output_before = output.as_uri(), fingerprint(before)
    store.add([job])
    return store.claim([job.id], "worker")[job.id]


def again(store: Store, job: Job) -> Job:
    """Start the job's next attempt, after its worker died."""
    store.recover("worker")
    return store.claim([job.id], "worker")[job.id]


def test_a_text_that_was_written_since_is_left_alone(store: Store, tmp_path: Path) -> None:
    """The reason names the file, and the command that shows the answer."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output)
    output.write_text("by hand\n")
    with pytest.raises(
        OutputChangedError, match=rf"^photo\.txt was written or changed .* captionq jobs show {job.id}$"
    ):
        deliver(job, "an answer", store, "worker")
    assert output.read_text() == "by hand\n"


def test_a_text_that_was_changed_since_is_left_alone(store: Store, tmp_path: Path) -> None:
    """The text to be replaced is gone."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output, b"an old answer\n")
    output.write_text("an old answer, mended by hand\n")
    with pytest.raises(OutputChangedError):
        deliver(job, "an answer", store, "worker")
    assert output.read_text() == "an old answer, mended by hand\n"


def test_the_text_that_is_replaced_is_kept(store: Store, tmp_path: Path) -> None:
    """Byte by byte, before the file is touched; a text that was deleted meanwhile is written again."""
    output, old = tmp_path / "photo.txt", b"gr\xfcn\n"
    output.write_bytes(old)
    job = claimed(store, output, old)
    assert deliver(job, "an answer", store, "worker")
    assert output.read_text() == "an answer\n"
    assert store.job(job.id).previous_text == old
    gone = claimed(store, tmp_path / "gone.txt", old)
    assert deliver(gone, "an answer", store, "worker")
    assert (tmp_path / "gone.txt").read_text() == "an answer\n"
    assert store.job(gone.id).previous_text is None


def test_a_second_attempt_knows_the_file_of_the_first(store: Store, tmp_path: Path) -> None:
    """The worker died between file and row, and the second answer differs: the first one's file is not a person's."""
    output = tmp_path / "photo.txt"
    output.write_text("before\n")
    job = claimed(store, output, b"before\n")
    assert deliver(job, "first answer", store, "worker")
    job = again(store, job)
    assert deliver(job, "second answer", store, "worker")
    assert output.read_text() == "second answer\n"
    assert store.job(job.id).previous_text == b"before\n"
    job = again(store, job)
    output.write_text("by hand\n")
    with pytest.raises(OutputChangedError):
        deliver(job, "third answer", store, "worker")


def test_a_text_that_is_right_already_is_enough(store: Store, tmp_path: Path) -> None:
    """Two jobs have one answer, and the other job came first."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output)
    output.write_text("an answer\n")
    written = output.stat().st_mtime_ns
    assert deliver(job, "an answer", store, "worker")
    assert output.stat().st_mtime_ns == written


def test_a_job_that_was_cancelled_writes_nothing(store: Store, tmp_path: Path) -> None:
    """The file stays even if the answer is ready."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output)
    store.cancel([job.id])
    assert not deliver(job, "an answer", store, "worker")
    assert list(tmp_path.glob("*.txt")) == []
    assert store.job(job.id).text is None


def test_a_picture_that_was_put_in_the_texts_place_is_never_replaced(store: Store, tmp_path: Path) -> None:
    """Any content the job expects."""
    output = tmp_path / "photo.txt"
    output.write_bytes(b"\xff\xd8\xff a picture")
    job = claimed(store, output, output.read_bytes())
    with pytest.raises(OutputOccupiedError):
        deliver(job, "an answer", store, "worker")
    assert output.read_bytes() == b"\xff\xd8\xff a picture"
