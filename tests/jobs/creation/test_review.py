"""A person's decisions about an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.creation.review import asked_again, save_edit, text_to_edit
from jobs.errors import ForbiddenError, OutputChangedError, OutputOccupiedError
from jobs.options.delivery import DeliveryOptions
from jobs.requests import Message, TextPart
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane
from tests.support.rows import RESULT, make_job


def answered(store: Store, folder: Path, quality: str = "cut_off", roots: str | None = None) -> Job:
    """Add a job with a flawed answer and its file."""
    job = make_job()
    job.output, job.roots = (folder / "photo.txt").as_uri(), roots
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, replace(RESULT, quality=quality))
    (folder / "photo.txt").write_text(f"{RESULT.text}\n")
    return store.job(job.id)


def test_an_edited_text_is_a_persons(store: Store, tmp_path: Path) -> None:
    """File and row have it, the row keeps the model's answer, and the file counts as written by hand."""
    job = answered(store, tmp_path)
    edited = text_to_edit(job)
    assert edited.text == RESULT.text
    save_edit(job, edited, "A red ball.", store)
    assert (tmp_path / "photo.txt").read_text() == "A red ball.\n"
    row = store.job(job.id)
    assert (row.text, row.edited_text, row.reviewed_at is not None) == (RESULT.text, "A red ball.", True)
    assert [one.answer for one in store.written([job.output or ""])[job.output or ""]] == [RESULT.text]
    assert [path.name for path in tmp_path.glob("*")].count("photo.txt") == 1
    assert list(tmp_path.glob(".captionq*")) == []


def test_a_file_that_was_changed_while_its_text_was_edited_stays(store: Store, tmp_path: Path) -> None:
    """So does its row. A file that was changed before is shown as it is."""
    job = answered(store, tmp_path)
    (tmp_path / "photo.txt").write_text("by hand\n")
    edited = text_to_edit(job)
    assert edited.text == "by hand"
    (tmp_path / "photo.txt").write_text("by hand, later\n")
    with pytest.raises(OutputChangedError):
        save_edit(job, edited, "A red ball.", store)
    assert (tmp_path / "photo.txt").read_text() == "by hand, later\n"
    assert store.job(job.id).reviewed_at is None


def test_a_file_in_another_encoding_is_not_edited(store: Store, tmp_path: Path) -> None:
    """Its letters would be lost."""
    job = answered(store, tmp_path)
    (tmp_path / "photo.txt").write_bytes(b"gr\xfcn\n")
    with pytest.raises(OutputOccupiedError, match="not in UTF-8"):
        text_to_edit(job)


def test_a_file_outside_of_the_served_folders_is_not_written(store: Store, tmp_path: Path) -> None:
    """A link may have been put into the folder's place since the request."""
    job = answered(store, tmp_path, roots='["/elsewhere"]')
    with pytest.raises(ForbiddenError):
        save_edit(job, text_to_edit(job), "A red ball.", store)
    assert (tmp_path / "photo.txt").read_text() == f"{RESULT.text}\n"


@pytest.mark.parametrize(
    ("quality", "sampling"),
    [
        ("cut_off", Sampling(temperature=0.5, seed=0)),
        ("repetition", Sampling(temperature=0.3, repetition_penalty=1.1, seed=0)),
        ("truncated_image", Sampling(temperature=0.5, seed=0)),
    ],
)
def test_the_same_question_is_asked_with_other_settings(
    store: Store, tmp_path: Path, quality: str, sampling: Sampling
) -> None:
    """The same settings would give the same answer again. (This cut-off answer was ended by the context.)"""
    job = answered(store, tmp_path, quality)
    new = asked_again(job, None, Batch(description="", model="demo"))
    assert (new.lane, new.output, new.text, new.finish_reason) == (Lane.INTERACTIVE, job.output, None, None)
    assert new.parsed_request().sampling == sampling
    assert new.digest == new.parsed_request().digest


def test_another_prompt_keeps_images_system_message_and_settings(store: Store, tmp_path: Path) -> None:
    """The delivery is that of the first job, and part of the digest."""
    job = answered(store, tmp_path)
    asked = job.parsed_request()
    system = Message(role="system", content="Be brief.")
    job.request = asked.model_copy(update={"messages": [system, *asked.messages]}).model_dump_json()
    job.delivery = DeliveryOptions(suffix="!").stored
    new = asked_again(job, "What colour?", Batch(description="", model="demo"))
    request = new.parsed_request()
    assert request.messages[0] == system
    assert request.images == asked.images
    assert request.messages[1].content[-1] == TextPart(text="What colour?")
    assert request.sampling == asked.sampling
    assert new.parsed_delivery().suffix == "!"
    assert new.digest != request.digest
