"""A worker's last step: texts that a person wrote since a job was queued stay, and no replaced text is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.captions.text_files import fingerprint
from jobs.errors import OutputChangedError, OutputDiskFullError, OutputOccupiedError
from jobs.options.delivery import DeliveryOptions
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.disks import fill, mounted
from tests.support.rows import RESULT, make_job
from worker.dispatch.outcomes.output_delivery import deliver


def claimed(store: Store, output: Path, before: bytes | None = None, **options: Any) -> Job:
    """Add a running job that writes this file, which had that content when the job was queued."""
    job = make_job()
    job.output, job.output_before = output.as_uri(), fingerprint(before)
    job.delivery = DeliveryOptions(**options).stored
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


def test_nobody_is_told_to_retry_a_job_whose_disk_is_full(store: Store, tmp_path: Path) -> None:
    """The worker writes the file by itself when there is room. Other faults say how to write the file."""
    with mounted(tmp_path / "disk", "64k") as disk:
        job = claimed(store, disk / "photo.txt")
        fill(disk)
        with pytest.raises(OutputDiskFullError, match=r"^photo\.txt could not be written: No space left on device\.$"):
            deliver(job, "An answer.", store, "worker")
    (tmp_path / "photo.txt").mkdir()
    with pytest.raises(OutputOccupiedError, match="to write it: captionq jobs retry"):
        deliver(claimed(store, tmp_path / "photo.txt"), "An answer.", store, "worker")


def test_a_picture_that_was_put_in_the_texts_place_is_never_replaced(store: Store, tmp_path: Path) -> None:
    """Any content the job expects."""
    output = tmp_path / "photo.txt"
    output.write_bytes(b"\xff\xd8\xff a picture")
    job = claimed(store, output, output.read_bytes())
    with pytest.raises(OutputOccupiedError):
        deliver(job, "an answer", store, "worker")
    assert output.read_bytes() == b"\xff\xd8\xff a picture"


def test_the_new_text_is_made_from_the_answer(store: Store, tmp_path: Path) -> None:
    """The row has the answer, the new text where it differs, and the hash of the file."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output, trigger="ohwx", suffix=" --end", strip_openers=True)
    assert deliver(job, "The image shows a cat.", store, "worker")
    assert output.read_text() == "ohwx, A cat. --end\n"
    row = store.job(job.id)
    assert (row.text, row.output_text, row.new_text) == (
        "The image shows a cat.",
        "ohwx, A cat. --end",
        row.output_text,
    )
    assert row.output_after == fingerprint(output.read_bytes())
    plain = claimed(store, tmp_path / "plain.txt")
    assert deliver(plain, "A cat.", store, "worker")
    assert (store.job(plain.id).output_text, store.job(plain.id).new_text) == (None, "A cat.")


def test_json_has_no_openers(store: Store, tmp_path: Path) -> None:
    """An answer in JSON stays JSON."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output, strip_openers=True)
    request = job.parsed_request().model_copy(update={"response_format": JSONObjectFormat()})
    job.request = request.model_dump_json()
    assert deliver(job, '"A `cat`"', store, "worker")
    assert output.read_text() == '"A `cat`"\n'


PERSONS = [
    (b"two words\n", "two words"),
    ("\ufeffgrün".encode(), "grün"),
    ("\ufeffgrün\r\nzwei\r\n".encode("utf-16-le"), "grün\r\nzwei"),
    ("\ufeff圖".encode("utf-16-be"), "圖"),
    ("“caf\xe9” €\n".encode("cp1252"), "“café” €"),
    (b"a\x81\xff", "a\x81ÿ"),
]


@pytest.mark.parametrize(("content", "words"), PERSONS, ids=lambda value: repr(value)[:20])
def test_every_word_of_a_text_stays_beside_the_new_one(
    store: Store, tmp_path: Path, content: bytes, words: str
) -> None:
    """Whatever its encoding was, the file is UTF-8 then; the row has the old content."""
    for existing, expected in (("append", f"{words} A cat."), ("prepend", f"A cat. {words}")):
        output = tmp_path / f"{existing}.txt"
        output.write_bytes(content)
        job = claimed(store, output, content, existing=existing)
        assert deliver(job, "A cat.", store, "worker")
        assert output.read_bytes().decode() == f"{expected}\n"
        assert store.job(job.id).previous_text == content


def test_nothing_is_added_to_a_text_that_cannot_be_decoded(store: Store, tmp_path: Path) -> None:
    """Half a character of UTF-16: the file stays."""
    output, content = tmp_path / "photo.txt", b"\xff\xfea\0b"
    output.write_bytes(content)
    job = claimed(store, output, content, existing="append")
    with pytest.raises(OutputOccupiedError, match=r"^photo\.txt is not a text file"):
        deliver(job, "A cat.", store, "worker")
    assert output.read_bytes() == content


def test_a_text_that_was_changed_or_removed_since_is_not_brought_back(store: Store, tmp_path: Path) -> None:
    """The answer is added to no text that a person has changed after the job was queued, and to nothing if the text is gone."""
    output = tmp_path / "photo.txt"
    job = claimed(store, output, b"old", existing="append")
    output.write_bytes(b"old and new")
    with pytest.raises(OutputChangedError):
        deliver(job, "A cat.", store, "worker")
    assert output.read_bytes() == b"old and new"
    output.unlink()
    assert deliver(job, "A cat.", store, "worker")
    assert output.read_text() == "A cat.\n"


def test_an_empty_answer_adds_nothing(store: Store, tmp_path: Path) -> None:
    """Not even a separator."""
    output = tmp_path / "photo.txt"
    output.write_bytes(b"by hand\n")
    job = claimed(store, output, b"by hand\n", existing="append", separator=", ")
    assert deliver(job, " ", store, "worker")
    assert output.read_bytes() == b"by hand\n"


@pytest.mark.parametrize("existing", ["skip", "replace", "append"])
@pytest.mark.parametrize("before", [None, b"by hand\n"])
def test_a_twin_s_text_that_was_written_since_is_known(
    store: Store, tmp_path: Path, before: bytes | None, existing: str
) -> None:
    """A run looked at the file just before a worker ended the interrupted run's job about the same question."""
    output = tmp_path / "photo.txt"
    if before is not None:
        output.write_bytes(before)
    twin = claimed(store, output, before, existing=existing)
    assert deliver(twin, "A cat.", store, "worker")
    store.succeed(twin.id, replace(RESULT, text="A cat."))
    added = before if existing == "append" and before is not None else b""
    job = claimed(store, output, before, existing=existing)
    assert deliver(job, "A dog.", store, "worker")
    assert output.read_bytes() == (added.rstrip() + b" A dog.\n").lstrip()
    assert store.job(job.id).previous_text == before


def test_another_question_s_text_and_a_person_s_are_no_twin_s(store: Store, tmp_path: Path) -> None:
    """Nor is a text that the twin had written before a person's."""
    output = tmp_path / "photo.txt"
    other = claimed(store, output)
    deliver(other, "A cat.", store, "worker")
    store.succeed(other.id, RESULT)
    by_hand = claimed(store, output, b"by hand\n")
    question = claimed(store, tmp_path / "other.txt")
    question.output, question.digest = output.as_uri(), "another"
    for job in (by_hand, question):
        with pytest.raises(OutputChangedError):
            deliver(job, "A dog.", store, "worker")
        store.cancel([by_hand.id])
    same = claimed(store, output)
    output.write_text("A cat, mended by hand.\n")
    with pytest.raises(OutputChangedError):
        deliver(same, "A dog.", store, "worker")
