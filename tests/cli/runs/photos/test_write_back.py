"""Captions written back into Photos: after a yes, only what is missing, and never over a person's words."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from cli.output.report import make_report
from cli.runs.photos.write_back import WriteBack
from cli.runs.sample import Acceptance, SampleOptions
from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, job_about
from jobs.errors import OutputForbiddenError
from jobs.images.photos_library.photo import Photo
from jobs.options.caption_options import CaptionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.photo_libraries import RememberingApp
from tests.support.rows import RESULT

YES = SampleOptions(2, acceptance=Acceptance(given=True))
DESCRIBE = Question("demo", "Describe this image.", Sampling())
TAGS = replace(DESCRIBE, delivery=DeliveryOptions(keywords=True))


class Terminal(io.StringIO):
    """A terminal at which these lines are typed."""

    def isatty(self) -> bool:
        return True


def caption(store: Store, folder: Path, photo: Photo, text: str, question: Question = DESCRIBE) -> tuple[Photo, Path]:
    """Caption a photo as a run does."""
    output = folder / f"{photo.uuid}.txt"
    batch = Batch(description="test", model="demo")
    job = job_about(PendingImage.at(folder / photo.uuid, output), question, batch)
    store.add_batch(batch)
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, replace(RESULT, text=text))
    output.write_text(f"{text}\n")
    return photo, output


def test_captions_go_where_the_photos_lack_them(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person's description stays, also one that was written since the library was read. A second run writes nothing."""
    plain, written, changed = (Photo(uuid, f"{uuid}.jpg", None) for uuid in ("plain", "written", "changed"))
    written = replace(written, description="Mia on her sofa")
    tagged = Photo("tagged", "tagged.jpg", None, description="Mia", keywords=("Kids",))
    gone, bare = Photo("gone", "gone.jpg", None), (Photo("bare", "bare.jpg", None), tmp_path / "bare.txt")
    app = RememberingApp(
        {
            "plain": PhotoTexts(),
            "written": PhotoTexts(description="Mia on her sofa"),
            "changed": PhotoTexts(description="just now"),
            "tagged": PhotoTexts(description="Mia", keywords=("Kids",)),
        }
    )
    texts = [caption(store, tmp_path, photo, "A cat.") for photo in (plain, written, changed, gone)]
    texts += [caption(store, tmp_path, tagged, "cat, kids", TAGS), bare]
    report = make_report(as_json=False)
    assert WriteBack(app, CaptionOptions(), YES, report).run(texts, store) is False
    assert app.written == {"plain": PhotoTexts(description="A cat."), "tagged": PhotoTexts(keywords=("cat",))}
    assert capsys.readouterr().out.splitlines() == [
        "Written into Photos: 2 photos (1 description, 1 keyword)",
        "1 photo keeps the title or description that a person wrote: --existing replace --force replaces it too",
        "  gone.jpg: The photo is not in the library that Photos has open.",
    ]
    app.written.clear()
    assert WriteBack(app, CaptionOptions(), YES, report).run([texts[0]], store)
    assert app.written == {}


def test_newer_captions_replace_older_ones_and_a_persons_only_by_force(store: Store, tmp_path: Path) -> None:
    """captionq knows its own words by its rows."""
    photo = Photo("A", "A.jpg", None, description="A cat.")
    app, report = RememberingApp({"A": PhotoTexts(description="A cat.")}), make_report(as_json=False)
    caption(store, tmp_path, photo, "A cat.")
    newer = caption(store, tmp_path, photo, "A red cat.")
    assert WriteBack(app, CaptionOptions(), YES, report).run([newer], store)
    assert app.photos["A"].description == "A red cat."
    by_hand, theirs = PhotoTexts(description="Mia"), (replace(photo, description="Mia"), newer[1])
    for options, after in (({"existing": "replace"}, "Mia"), ({"existing": "replace", "force": True}, "A red cat.")):
        app.photos["A"] = by_hand
        assert WriteBack(app, CaptionOptions.model_validate(options), YES, report).run([theirs], store)
        assert app.photos["A"].description == after


@pytest.mark.parametrize(
    ("typed", "is_written"), [("y\n", True), ("n\n", False), ("", False)], ids=["yes", "no", "end"]
)
def test_without_an_accepted_sample_some_changes_are_shown_first(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    is_written: bool,
) -> None:
    """With what Photos has now. Nothing is written before the yes."""
    photos = [Photo(str(number), f"{number}.jpg", None) for number in range(3)]
    texts = [caption(store, tmp_path, photo, f"Cat {photo.uuid}.") for photo in photos]
    app = RememberingApp({photo.uuid: PhotoTexts() for photo in photos})
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert WriteBack(app, CaptionOptions(), SampleOptions(2), make_report(as_json=False)).run(texts, store)
    assert len(app.written) == (3 if is_written else 0)
    said = capsys.readouterr()
    assert said.out.splitlines()[:3] == [
        "photo\tin Photos now\twill be written",
        "0.jpg\t–\tCat 0.",
        "1.jpg\t–\tCat 1.",
    ]
    assert "Write the texts of 3 photos into Photos? [y/N]" in said.err
    assert ("Nothing was written into Photos." in said.err) == (not is_written)
    app = RememberingApp(app.photos | {"0": PhotoTexts()})
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert WriteBack(app, CaptionOptions(), SampleOptions(1), make_report(as_json=True)).run(texts, store)
    said = capsys.readouterr()
    assert (said.out, "0.jpg: – → Cat 0." in said.err) == ("", True)


def test_a_photos_that_may_not_be_told_ends_the_step(store: Store, tmp_path: Path) -> None:
    """At the first photo, not at each."""

    class Forbidden(RememberingApp):
        asked = 0

        def read(self, uuid: str) -> PhotoTexts:
            self.asked += 1
            raise OutputForbiddenError("captionq may not control Photos.")

    app = Forbidden({})
    texts = [caption(store, tmp_path, Photo(str(number), "a.jpg", None), "A cat.") for number in range(3)]
    with pytest.raises(OutputForbiddenError):
        WriteBack(app, CaptionOptions(), YES, make_report(as_json=False)).run(texts, store)
    assert app.asked == 1
