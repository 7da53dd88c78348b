"""Uploads and the sweep: blobs that are needed stay, and all others go."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import IdempotencyError, ImageTooLargeError, NotFoundError
from jobs.images.stored.blob_sweep import sweep_blobs
from jobs.images.stored.blobs import blob_address, blob_path, put_blob, remove_blob
from jobs.images.stored.uploads import Uploads
from jobs.requests import ImagePart, ImageURL, Message, Request
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus

DAY = 86_400


@pytest.fixture
def uploads(store: Store) -> Uploads:
    """Make an empty table of uploads."""
    return Uploads(store.engine)


def put(content: bytes, settings: Settings, *, days: float = 0) -> str:
    """Put a blob, dated `days` ago; return its SHA-256."""
    sha256, _ = put_blob([content], settings, most=1000, too_large=ImageTooLargeError)
    age(blob_path(sha256, settings), days)
    return sha256


def age(path: Path, days: float) -> None:
    """Make the file `days` old."""
    os.utime(path, (time.time() - days * DAY,) * 2)


def asking_about(sha256: str) -> Job:
    """Make a job whose only image is this blob."""
    image = ImagePart(image_url=ImageURL(url=blob_address(sha256)))
    request = Request(model="demo", messages=[Message(role="user", content=[image])])
    return Job(model="demo", request=request.model_dump_json(), digest=request.digest)


def end(job: Job, status: JobStatus, store: Store) -> None:
    """Bring the queued job to this status."""
    if status is JobStatus.CANCELLED:
        store.cancel([job.id])
    elif status is not JobStatus.QUEUED:
        store.claim([job.id], "worker")
    if status is JobStatus.FAILED:
        store.fail(job.id, NotFoundError())
    assert store.job(job.id).status == status


def test_an_upload_is_found_again_until_it_is_deleted(uploads: Uploads) -> None:
    """A second deletion is an error."""
    stored = uploads.add("trip/a.png", "ab" * 32, 5_000_000_000, "vision")
    assert stored.id.startswith("file_")
    assert uploads.get(stored.id) == stored
    assert (stored.filename, stored.bytes, stored.purpose) == ("trip/a.png", 5_000_000_000, "vision")
    uploads.delete(stored.id)
    for asked in (uploads.get, uploads.delete):
        with pytest.raises(NotFoundError, match=f"no file '{stored.id}'"):
            asked(stored.id)


def test_an_upload_expires(uploads: Uploads, settings: Settings) -> None:
    """After that it is neither found nor listed, and the next sweep deletes its row."""
    sha256 = put(b"x", settings)
    soon = uploads.add("a.png", sha256, 1, "vision", expires_at=time.time() + 60)
    late = uploads.add("b.png", sha256, 1, "vision", expires_at=time.time() - 1)
    assert [file.id for file in uploads.page(limit=10)] == [soon.id]
    with pytest.raises(NotFoundError):
        uploads.get(late.id)
    assert (uploads.delete_expired(), uploads.delete_expired()) == (1, 0)
    assert uploads.get(soon.id).expires_at == soon.expires_at


def test_a_key_stands_for_one_upload_until_it_expires(uploads: Uploads) -> None:
    """Repeated with another name, purpose or content, the key is refused: the client would get what it did not send."""
    first = uploads.add("a.png", "ab" * 32, 1, "vision", "key")
    assert uploads.add("a.png", "ab" * 32, 1, "vision", "key").id == first.id
    for name, sha256, purpose in (
        ("b.png", "ab" * 32, "vision"),
        ("a.png", "cd" * 32, "vision"),
        ("a.png", "ab" * 32, "batch"),
    ):
        with pytest.raises(IdempotencyError):
            uploads.add(name, sha256, 1, purpose, "key")
    gone = uploads.add("a.png", "ab" * 32, 1, "vision", "other", expires_at=time.time() - 1)
    again = uploads.add("a.png", "ab" * 32, 1, "vision", "other")
    assert again.id != gone.id
    assert uploads.get(again.id).expires_at is None


def test_a_name_is_kept_as_a_clean_label(uploads: Uploads) -> None:
    """Half a character could not even be written."""
    stored = uploads.add("../\ud800\0a.png", "ab" * 32, 1, "vision")
    assert uploads.get(stored.id).filename == "��a.png"


def test_uploads_are_listed_page_by_page_with_the_newest_first(uploads: Uploads) -> None:
    """The cursor's upload may be deleted meanwhile, and newer uploads may come."""
    ids = []
    for number in range(5):
        ids.append(uploads.add(f"{number}.png", "ab" * 32, 1, "vision" if number % 2 else "batch").id)
        time.sleep(0.002)
    ids.reverse()
    first = [stored.id for stored in uploads.page(limit=2)]
    uploads.delete(first[-1])
    uploads.add("new.png", "ab" * 32, 1, "vision")
    assert first == ids[:2]
    assert [stored.id for stored in uploads.page(after=first[-1], limit=9)] == ids[2:]
    assert [stored.filename for stored in uploads.page(after=ids[0], limit=9, purpose="batch")] == ["2.png", "0.png"]
    assert uploads.page(after=ids[-1], limit=9) == []


def test_only_what_is_old_and_not_needed_is_swept(uploads: Uploads, store: Store, settings: Settings) -> None:
    """Each upload of the same bytes keeps the blob; without any, an old blob goes."""
    young, old, named = (
        put(b"young", settings, days=6.9),
        put(b"old", settings, days=7.1),
        put(b"named", settings, days=99),
    )
    files = [uploads.add(f"{number}.png", named, 5, "vision") for number in range(2)]
    assert sweep_blobs(store.engine, settings, time.time()) == 1
    uploads.delete(files[0].id)
    assert sweep_blobs(store.engine, settings, time.time()) == 0
    assert [blob_path(sha256, settings).exists() for sha256 in (young, old, named)] == [True, False, True]
    uploads.delete(files[1].id)
    assert sweep_blobs(store.engine, settings, time.time()) == 1
    assert sweep_blobs(store.engine, settings, time.time() + DAY) == 1
    assert not blob_path(young, settings).exists()


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED])
def test_an_open_job_keeps_its_images(store: Store, settings: Settings, status: JobStatus) -> None:
    """The images stay only while the job is open."""
    sha256 = put(b"image", settings, days=30)
    job = asking_about(sha256)
    store.add([job, asking_about(hashlib.sha256(b"another").hexdigest())])
    end(job, status, store)
    kept = status in (JobStatus.QUEUED, JobStatus.RUNNING)
    assert sweep_blobs(store.engine, settings, time.time()) == (0 if kept else 1)
    assert blob_path(sha256, settings).exists() is kept


def test_thousands_of_blobs_are_swept_at_once(uploads: Uploads, store: Store, settings: Settings) -> None:
    """A single statement has too few variables for so many."""
    blobs = [put(str(number).encode(), settings, days=8) for number in range(1201)]
    for sha256 in blobs[::100]:
        uploads.add("a.png", sha256, 1, "vision")
    assert sweep_blobs(store.engine, settings, time.time()) == 1188


def test_a_blob_that_is_put_again_is_young_again(store: Store, settings: Settings) -> None:
    """A blob's time says when it was last used."""
    sha256 = put(b"image", settings, days=30)
    put_blob([b"image"], settings, most=1000, too_large=ImageTooLargeError)
    assert sweep_blobs(store.engine, settings, time.time()) == 0
    assert not remove_blob(sha256, settings, before=time.time() - DAY)
    assert blob_path(sha256, settings).exists()


def test_what_was_just_put_is_there_while_others_sweep(settings: Settings) -> None:
    """Between the check of an old blob's time and its removal, no process can put the blob again."""
    sha256 = put(b"image", settings)
    path = blob_path(sha256, settings)
    stop = threading.Event()
    swept = 0

    def sweep() -> None:
        nonlocal swept
        while not stop.is_set():
            swept += remove_blob(sha256, settings, before=time.time() - DAY)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        lost = 0
        for _ in range(300):
            age(path, 30)
            put_blob([b"image"], settings, most=1000, too_large=ImageTooLargeError)
            lost += not path.exists()
            path.touch()
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()
    assert lost == 0
    assert swept > 0


def test_what_a_killed_process_left_half_written_is_swept_after_a_day(store: Store, settings: Settings) -> None:
    """A file that was written within a day may still be in use. Files of other programs stay."""
    left = [settings.blob_dir / "new-old", settings.blob_dir / "new-young", settings.blob_dir / "README"]
    (settings.blob_dir / "ab").mkdir()
    left.append(settings.blob_dir / "ab" / "notes.txt")
    for path in left:
        path.touch()
        age(path, 0.9 if path.name == "new-young" else 1.1 if path.name == "new-old" else 99)
    assert sweep_blobs(store.engine, settings, time.time()) == 1
    assert [path.exists() for path in left] == [False, True, True, True]


def test_there_may_be_nothing_to_sweep(store: Store, settings: Settings) -> None:
    """As on the first day."""
    assert sweep_blobs(store.engine, settings, time.time()) == 0
