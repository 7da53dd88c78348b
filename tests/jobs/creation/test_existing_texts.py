"""Images that have a text already: skipped, replaced or refused, before anything is generated."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.captions.text_files import fingerprint
from jobs.captions.text_places import TextPlace
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import AlreadyAdded, PendingImage, SkippedImage, WrittenByHand, plan_images
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question, job_about
from jobs.creation.retry import copy_of, expect_current_texts, resubmit
from jobs.errors import EngineError, OutputChangedError, OutputError, OutputForbiddenError, OutputOccupiedError
from jobs.images.walking.folder_images import by_folder
from jobs.options.caption_options import CaptionOptions
from jobs.options.composition import CompositionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.sampling import Sampling
from jobs.store.result import FileChange
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from jobs.store.written.written_texts import WrittenText
from tests.support.outputs import captioned, make_run, save_picture
from tests.support.rows import RESULT
from tests.support.scenes import draw
from worker.dispatch.outcomes.output_delivery import deliver, kept_result

SKIP = CompositionOptions()
REPLACE = CompositionOptions(existing="replace")
FORCE = CompositionOptions(existing="replace", force=True)
QUESTION = Question("demo", "Describe this image.", Sampling())
APPEND = replace(QUESTION, delivery=DeliveryOptions(existing="append"))
PREPEND = replace(QUESTION, delivery=DeliveryOptions(existing="prepend"))


def pictures(folder: Path, count: int) -> list[Path]:
    """Make empty files: nothing opens them here."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


def caption(store: Store, image: Path, text: str) -> Job:
    """Caption a picture as captionq does."""
    batch = Batch(description="test", model="demo")
    job = job_about(PendingImage.at(image, image.with_suffix(".txt")), QUESTION, batch)
    store.add_batch(batch)
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, replace(RESULT, text=text))
    image.with_suffix(".txt").write_text(f"{text}\n")
    return job


def add(store: Store, image: Path, question: Question, answer: str) -> Job:
    """Add an answer to a picture's text as captionq does."""
    [pending] = judged([image], question.delivery, store, question=question)
    assert isinstance(pending, PendingImage)
    batch = Batch(description="test", model="demo")
    job = job_about(pending, question, batch)
    store.add_batch(batch)
    store.add([job])
    deliver(store.claim([job.id], "worker")[job.id], answer, store, "worker")
    store.succeed(job.id, replace(RESULT, text=answer))
    return job


def judged(
    images: Sequence[Path],
    options: CompositionOptions,
    store: Store,
    *,
    question: Question = QUESTION,
    named: Sequence[Path] = (),
) -> list[PendingImage | SkippedImage]:
    """Decide about the images."""
    return list(plan_images(by_folder(images), options, store=store, digest_of=question.digest_of, named=named))


def refused(store: Store, image: Path, options: CompositionOptions, *, named: Sequence[Path] = ()) -> str:
    """Return the reason why an image can have no text."""
    [found] = judged([image], options, store, named=named)
    assert isinstance(found, PendingImage)
    assert found.refusal is not None
    assert found.refusal.code == "output_occupied"
    return found.refusal.message


def test_images_that_have_their_text_are_skipped(store: Store, tmp_path: Path) -> None:
    """The author of the text does not matter, nor whether the text can be read."""
    images = pictures(tmp_path, 4)
    caption(store, images[0], "an answer")
    images[2].with_suffix(".txt").write_text("by hand")
    found = judged(images, SKIP, store)
    texts = [image.with_suffix(".txt") for image in images]
    assert found == [
        SkippedImage(TextPlace.at(images[0], texts[0])),
        PendingImage.at(images[1], texts[1]),
        SkippedImage(TextPlace.at(images[2], texts[2])),
        PendingImage.at(images[3], texts[3]),
    ]


def test_only_what_captionq_wrote_is_replaced(store: Store, tmp_path: Path) -> None:
    """A text that a person wrote, or changed by one letter, stays; with force it is replaced."""
    images = pictures(tmp_path, 4)
    texts = [image.with_suffix(".txt") for image in images]
    for image in images[:2]:
        caption(store, image, "an answer")
    caption(store, images[0], "a newer answer")
    texts[1].write_text("an answer!\n")
    texts[2].write_text("an answer\n")
    found = judged(images, REPLACE, store)
    assert found == [
        PendingImage.at(images[0], texts[0], before=fingerprint(b"a newer answer\n")),
        WrittenByHand(TextPlace.at(images[1], texts[1])),
        WrittenByHand(TextPlace.at(images[2], texts[2])),
        PendingImage.at(images[3], texts[3]),
    ]
    forced = judged(images, FORCE, store)
    assert [one.before for one in forced if isinstance(one, PendingImage)] == [
        fingerprint(b"a newer answer\n"),
        fingerprint(b"an answer!\n"),
        fingerprint(b"an answer\n"),
        None,
    ]


@pytest.mark.parametrize("options", [SKIP, FORCE], ids=["skip", "force"])
def test_what_is_no_text_is_an_error_of_its_image(store: Store, tmp_path: Path, options: CompositionOptions) -> None:
    """A folder, a link, a special file or a picture is in the text's place; force makes no difference."""
    image = pictures(tmp_path, 1)[0]
    draw(1).image.save(image)
    text = image.with_suffix(".txt")
    text.mkdir()
    assert refused(store, image, options).startswith("0.txt is a folder")
    text.rmdir()
    text.symlink_to(image)
    assert refused(store, image, options).startswith("0.txt is a link")
    text.unlink()
    os.mkfifo(text)
    assert refused(store, image, options).startswith("0.txt is a special file")
    text.unlink()
    draw(1).image.save(text, format="png")
    assert refused(store, image, options).startswith("0.txt is a picture")


def test_a_link_to_a_text_is_a_text_until_something_is_to_be_written(store: Store, tmp_path: Path) -> None:
    """Collections of texts are often linked from elsewhere; a dangling link is reported."""
    images = pictures(tmp_path, 2)
    texts = [image.with_suffix(".txt") for image in images]
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "0.txt").write_text("by hand")
    texts[0].symlink_to(tmp_path / "texts" / "0.txt")
    texts[1].symlink_to(tmp_path / "nowhere")
    assert judged(images[:1], SKIP, store) == [SkippedImage(TextPlace.at(images[0], texts[0]))]
    assert refused(store, images[0], FORCE).startswith("0.txt is a link")
    assert refused(store, images[1], SKIP).startswith("1.txt is a link")


@pytest.mark.parametrize("options", [SKIP, FORCE], ids=["skip", "force"])
def test_an_image_that_was_named_is_never_taken_for_a_text(
    store: Store, tmp_path: Path, options: CompositionOptions
) -> None:
    """Neither its content nor the form of its path matters; a picture called .txt gets its own text."""
    image = pictures(tmp_path, 1)[0]
    source = tmp_path / "0.txt"
    source.write_text("no picture")
    (tmp_path / "folder").mkdir()
    named = [image, tmp_path / "folder" / ".." / "0.txt"]
    assert refused(store, image, options, named=named) == "0.txt is one of the images, so no text can be written there."
    assert judged([source], options, store, named=named) == [PendingImage.at(source, tmp_path / "0.txt.txt")]


BLANKS = (b"", b"\n", b" \r\n\t\xc2\xa0", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n", b"\xff\xfe", b"\xfe\xff\x00\n")


@pytest.mark.parametrize("options", [SKIP, REPLACE], ids=["skip", "replace"])
@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_a_blank_text_is_no_caption(store: Store, tmp_path: Path, options: CompositionOptions, blank: bytes) -> None:
    """A file without words, perhaps with a mark of its encoding, is written over; also where captionq's answer was."""
    images = pictures(tmp_path, 2)
    texts = [image.with_suffix(".txt") for image in images]
    caption(store, images[1], "an answer")
    for text in texts:
        text.write_bytes(blank)
    found = judged(images, options, store)
    assert found == [
        PendingImage.at(image, text, before=fingerprint(blank)) for image, text in zip(images, texts, strict=True)
    ]


@pytest.mark.parametrize(
    "content", [b"a", b"\xef\xbb\xbfa", b"\xff\xfea\0", "圖".encode("utf-16-be"), b"\xff"], ids=repr
)
def test_the_shortest_text_is_a_caption(store: Store, tmp_path: Path, content: bytes) -> None:
    """One letter is enough, in whatever encoding."""
    images = pictures(tmp_path, 1)
    images[0].with_suffix(".txt").write_bytes(content)
    assert isinstance(judged(images, SKIP, store)[0], SkippedImage)


def test_a_link_to_a_blank_text_is_reported(store: Store, tmp_path: Path) -> None:
    """Nothing is generated for an image whose text could not be written."""
    images = pictures(tmp_path, 1)
    (tmp_path / "blank").touch()
    images[0].with_suffix(".txt").symlink_to(tmp_path / "blank")
    assert refused(store, images[0], SKIP).startswith("0.txt is a link")


@pytest.mark.parametrize("options", [SKIP, REPLACE], ids=["skip", "replace"])
def test_a_folder_where_captionq_wrote_a_text_is_reported(
    store: Store, tmp_path: Path, options: CompositionOptions
) -> None:
    """The store knows the text, but the text is not there."""
    images = pictures(tmp_path, 1)
    caption(store, images[0], "an answer")
    images[0].with_suffix(".txt").unlink()
    images[0].with_suffix(".txt").mkdir()
    assert refused(store, images[0], options).startswith("0.txt is a folder")


def test_only_images_that_need_a_text_are_refused_for_their_folder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that has its text is skipped; its neighbour in the read-only folder fails, an image elsewhere does not."""
    images = pictures(tmp_path, 2)
    (tmp_path / "elsewhere").mkdir()
    images += pictures(tmp_path / "elsewhere", 1)
    images[0].with_suffix(".txt").write_text("by hand")
    real = os.open

    def on_a_read_only_disk(path: os.PathLike[str] | str, *more: Any, **others: Any) -> int:
        if Path(path).parent == tmp_path and Path(path).suffix == ".tmp":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, *more, **others)

    monkeypatch.setattr(os, "open", on_a_read_only_disk)
    found = judged(images, SKIP, store)
    assert isinstance(found[0], SkippedImage)
    refusals = [one.refusal for one in found[1:] if isinstance(one, PendingImage)]
    assert [refusal and refusal.code for refusal in refusals] == ["output_forbidden", None]
    assert str(refusals[0]).startswith(
        f"No text can be written into the folder '{tmp_path.name}': Read-only file system."
    )


def test_an_image_that_is_named_in_two_ways_comes_once(store: Store, tmp_path: Path) -> None:
    """Two jobs would write one file."""
    image = pictures(tmp_path, 1)[0]
    assert len(judged([image, image], SKIP, store)) == 1


def test_an_image_without_a_place_for_its_text_fails_before_it_begins(
    store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The row has the reason, and an end that followers see; the other image waits for the worker."""
    images = pictures(tmp_path, 2)
    images[0].with_suffix(".txt").mkdir()
    wanted = [one for one in judged(images, SKIP, store) if isinstance(one, PendingImage)]
    batch = Batch(description="test", model="demo")
    FolderRun(QUESTION, batch, store=store, connection=connection).submit(wanted)
    rows = store.jobs(batch_id=batch.id)
    assert [row.status for row in rows] == [JobStatus.FAILED, JobStatus.QUEUED]
    assert (rows[0].error_code, rows[0].attempts) == ("output_occupied", 0)
    assert [row.id for row in store.finished_after(batch.id, 0)] == [rows[0].id]


@pytest.mark.parametrize("force", [False, True])
def test_a_retry_replaces_a_text_that_a_person_wrote_by_force_only(store: Store, tmp_path: Path, force: bool) -> None:
    """A text that captionq wrote meanwhile is replaced without force, and a text that was moved away is written again."""
    images = pictures(tmp_path, 3)
    batch, again = Batch(description="test", model="demo"), Batch(description="again", model="demo")
    store.add_batch(batch)
    jobs = [
        job_about(PendingImage.at(image, image.with_suffix(".txt"), before=fingerprint(b"old")), QUESTION, batch)
        for image in images
    ]
    store.add(jobs)
    store.cancel([job.id for job in jobs])
    images[0].with_suffix(".txt").write_text("by hand\n")
    caption(store, images[1], "an answer")
    resubmit(again, jobs, store=store, connection=None, force=force)
    assert [row.output_before for row in store.jobs(batch_id=again.id)] == [
        fingerprint(b"by hand\n" if force else b"old"),
        fingerprint(b"an answer\n"),
        None,
    ]


@pytest.mark.parametrize("error", [OutputError, OutputForbiddenError, OutputOccupiedError, OutputChangedError])
def test_a_retry_of_an_answer_that_was_not_written_has_the_answer(
    store: Store, tmp_path: Path, error: type[OutputError]
) -> None:
    """All of the result is copied; a job that failed for another reason is asked again."""
    images = pictures(tmp_path, 2)
    batch, again = Batch(description="test", model="demo"), Batch(description="again", model="demo")
    store.add_batch(batch)
    jobs = [job_about(PendingImage.at(image, image.with_suffix(".txt")), QUESTION, batch) for image in images]
    store.add(jobs)
    result = replace(RESULT, quality="repetition", logprobs=[{"token": "red"}])
    store.fail(jobs[0].id, error("It could not be written."), result)
    store.fail(jobs[1].id, EngineError(), result)
    resubmit(again, store.jobs(batch_id=batch.id), store=store, connection=None)
    kept, asked = store.jobs(batch_id=again.id)
    assert kept_result(kept) == result
    assert kept_result(asked) is None
    assert (asked.text, kept.error_code, kept.status) == (None, None, JobStatus.QUEUED)


@pytest.mark.parametrize("question", [APPEND, PREPEND], ids=["append", "prepend"])
def test_the_answer_to_a_question_is_added_once(store: Store, tmp_path: Path, question: Question) -> None:
    """To any text; a person may change the rest of the file, and another question's answer may follow, before it is repeated."""
    images = pictures(tmp_path, 4)
    texts = [image.with_suffix(".txt") for image in images]
    texts[0].write_text("by hand\n")
    caption(store, images[1], "an answer")
    texts[2].write_text(" \n")
    assert all(isinstance(one, PendingImage) for one in judged(images, question.delivery, store, question=question))
    for image in images:
        add(store, image, question, "A cat.")
    assert all(text.read_text().count("A cat.") == 1 for text in texts)
    texts[0].write_text("by another hand A cat. And a mat.\n")
    other = replace(question, prompt="And what else?")
    add(store, images[1], other, "A mat.")
    assert all(isinstance(one, AlreadyAdded) for one in judged(images, question.delivery, store, question=question))
    # A person has removed the addition: it was asked for again.
    texts[3].write_text("by hand\n")
    assert isinstance(judged(images[3:], question.delivery, store, question=question)[0], PendingImage)


def test_a_question_with_the_text_in_its_prompt_is_recognized(store: Store, tmp_path: Path) -> None:
    """The prompt differs after the addition, the question does not."""
    [image] = pictures(tmp_path, 1)
    image.with_suffix(".txt").write_text("by hand\n")
    question = replace(APPEND, prompt="What is missing in: {caption}?")
    job = add(store, image, question, "A cat.")
    assert job.parsed_request().messages[0].texts == ["What is missing in: by hand?"]
    assert isinstance(judged([image], question.delivery, store, question=question)[0], AlreadyAdded)


def test_a_file_that_a_killed_job_had_written_has_its_addition(store: Store, tmp_path: Path) -> None:
    """The job was cancelled between its file and its end; while it is open, the next run takes it up."""
    [image] = pictures(tmp_path, 1)
    image.with_suffix(".txt").write_text("by hand\n")
    [pending] = judged([image], APPEND.delivery, store, question=APPEND)
    assert isinstance(pending, PendingImage)
    job = job_about(pending, APPEND, Batch(description="test", model="demo"))
    job.batch_id = None
    store.add([job])
    deliver(store.claim([job.id], "worker")[job.id], "A cat.", store, "worker")
    assert isinstance(judged([image], APPEND.delivery, store, question=APPEND)[0], PendingImage)
    store.cancel([job.id])
    assert isinstance(judged([image], APPEND.delivery, store, question=APPEND)[0], AlreadyAdded)
    [again] = expect_current_texts([copy_of(store.job(job.id), Batch(description="again", model="demo"), None)], store)
    again.batch_id = None
    store.add([again])
    assert deliver(store.claim([again.id], "worker")[again.id], "A cat.", store, "worker")
    assert image.with_suffix(".txt").read_text() == "by hand A cat.\n"


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("between", range(4))
def test_a_run_that_looks_while_a_job_ends_adds_nothing_twice(
    store: Store, settings: Settings, tmp_path: Path, before: int, between: int
) -> None:
    """The job of an interrupted run may write its file and end before, between and after the looks at text and rows."""
    [image] = pictures(tmp_path, 1)
    text = image.with_suffix(".txt")
    text.write_text("by hand\n")
    first = job_about(
        PendingImage.at(image, text, before=fingerprint(text.read_bytes())), APPEND, Batch(description="", model="demo")
    )
    first.batch_id = None
    store.add([first])
    file = FileChange(first.output_before, fingerprint(b"by hand A cat.\n"), "A cat.", text.read_bytes())
    steps: list[Callable[[], object]] = [
        lambda: store.claim([first.id], "worker"),
        lambda: store.keep_answer(first.id, "A cat.", file),
        lambda: text.write_text("by hand A cat.\n"),
        lambda: store.succeed(first.id, replace(RESULT, text="A cat.")),
    ]

    def go_on(count: int) -> None:
        for _ in range(min(count, len(steps))):
            steps.pop(0)()

    class BusyStore(Store):
        """A store beside which the worker goes on before each look at the rows."""

        def written(self, outputs: Sequence[str]) -> dict[str, list[WrittenText]]:
            go_on(between)
            return super().written(outputs)

    go_on(before)
    busy = BusyStore(settings)
    [found] = judged([image], APPEND.delivery, busy, question=APPEND)
    busy.close()
    go_on(len(steps))
    if isinstance(found, PendingImage):
        again = job_about(found, APPEND, Batch(description="again", model="demo"))
        again.batch_id = None
        store.add([again])
        deliver(store.claim([again.id], "worker")[again.id], "A cat.", store, "worker")
    assert text.read_text() == "by hand A cat.\n"


def test_only_a_file_without_a_person_s_words_is_replaced(store: Store, tmp_path: Path) -> None:
    """Texts with prefix and suffix are captionq's own, also when they are joined; a text that was added to a person's is not."""
    images = pictures(tmp_path, 3)
    texts = [image.with_suffix(".txt") for image in images]
    composed = replace(APPEND, delivery=DeliveryOptions(existing="append", trigger="ohwx", suffix="!"))
    texts[0].write_text("by hand\n")
    caption(store, images[1], "an answer")
    for image in images:
        add(store, image, composed, "A cat.")
    assert [text.read_text() for text in texts] == [
        "by hand ohwx, A cat.!\n",
        "an answer ohwx, A cat.!\n",
        "ohwx, A cat.!\n",
    ]
    kinds = [type(one) for one in judged(images, REPLACE, store)]
    assert kinds == [WrittenByHand, PendingImage, PendingImage]


def test_a_text_that_cannot_be_decoded_is_refused_before_anything_is_added(store: Store, tmp_path: Path) -> None:
    """UTF-16 with half a character at its end."""
    [image] = pictures(tmp_path, 1)
    image.with_suffix(".txt").write_bytes(b"\xff\xfea\0b")
    assert refused(store, image, APPEND.delivery).startswith("0.txt is not a text file")


def test_a_retry_adds_to_a_text_that_was_changed_since(store: Store, tmp_path: Path) -> None:
    """Every word stays, so nothing is in the way."""
    [image] = pictures(tmp_path, 1)
    text = image.with_suffix(".txt")
    text.write_text("by hand\n")
    batch, again = Batch(description="test", model="demo"), Batch(description="again", model="demo")
    store.add_batch(batch)
    job = job_about(PendingImage.at(image, text, before=fingerprint(text.read_bytes())), APPEND, batch)
    store.add([job])
    store.cancel([job.id])
    text.write_text("by hand, and more\n")
    resubmit(again, [job], store=store, connection=None)
    [row] = store.jobs(batch_id=again.id)
    assert row.output_before == fingerprint(b"by hand, and more\n")


def test_a_run_without_texts_skips_by_its_own_files(store: Store, tmp_path: Path) -> None:
    """An image is skipped if captionq wrote all chosen files and they are still there; texts count for nothing."""
    images = [save_picture(tmp_path / f"{name}.jpg") for name in ("done", "text", "half", "gone")]
    batch, options = make_run(store), CaptionOptions(output=("json", "xmp"))
    (tmp_path / "text.txt").write_text("by hand\n")
    captioned(store, tmp_path / "done.jpg", batch, output=("json", "xmp"))
    captioned(store, tmp_path / "half.jpg", batch, output=("json",))
    captioned(store, tmp_path / "gone.jpg", batch, output=("json", "xmp"))
    (tmp_path / "gone.xmp").unlink()
    found = {one.image.stem: one for one in plan_images(by_folder(images), options, store=store, digest_of=str)}
    assert {name for name, one in found.items() if isinstance(one, SkippedImage)} == {"done"}
    assert all(one.refusal is None for one in found.values() if isinstance(one, PendingImage))
    replaced = plan_images(
        by_folder(images), CaptionOptions(output=("json",), existing="replace"), store=store, digest_of=str
    )
    assert all(isinstance(one, PendingImage) and one.refusal is None for one in replaced)


def test_a_json_file_of_others_refuses_its_image_before_anything_is_generated(store: Store, tmp_path: Path) -> None:
    """Also one of captionq's that was changed; other images are captioned."""
    images = [save_picture(tmp_path / f"{name}.jpg") for name in ("fine", "foreign")]
    (tmp_path / "foreign.json").write_text("{}")
    fine, foreign = plan_images(by_folder(images), CaptionOptions(output=("txt", "json")), store=store, digest_of=str)
    assert isinstance(fine, PendingImage)
    assert isinstance(foreign, PendingImage)
    assert fine.refusal is None
    assert foreign.refusal is not None
    assert "foreign.json was not written by captionq" in foreign.refusal.message
