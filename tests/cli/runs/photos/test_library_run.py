"""Runs over a Photos library: which photos, which texts, and what the options may not do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.photos_options import PhotosOptions
from cli.runs.caption_run import CaptionRun
from cli.runs.photos import library_run
from cli.runs.photos.library_run import make_library_run
from cli.runs.sample import SampleOptions
from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage, plan_images
from jobs.creation.question import Question, job_about
from jobs.images.photos_library.photo import Photo
from jobs.images.walking.left_out import LeftOut
from jobs.options.caption_options import CaptionOptions
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.photo_libraries import ListedPhotos, RememberingApp, library_file


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library with three photos; one of them is hidden, and one has its text."""
    library = tmp_path / "My.photoslibrary"
    for uuid in ("A", "B", "C"):
        library_file(library, uuid)
    (tmp_path / "My captions").mkdir()
    (tmp_path / "My captions" / "IMG_1.HEIC.A.txt").write_text("A cat.\n")
    return library


def photos_of(library: Path) -> list[Photo]:
    first = Photo("A", "IMG_1.HEIC", library_file(library, "A"), taken=1, albums=("Zoo", "Cats"))
    second = replace(first, uuid="B", file=library_file(library, "B"), taken=2)
    return [second, first, replace(first, uuid="C", file=library_file(library, "C"), is_hidden=True)]


def made(
    library: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    *,
    app: RememberingApp | None = None,
    **values: object,
) -> CaptionRun:
    """Make a run over the library as the command does. With `app`, it writes back without a question."""
    known = {"title": "Mia", "place": "Zoo, Berlin"}
    monkeypatch.setattr(library_run, "OsxphotosSource", lambda path: ListedPhotos(photos_of(path), known))
    monkeypatch.setattr(library_run, "ScriptedPhotosApp", lambda: app)
    options = CaptionOptions.model_validate(values)
    return make_library_run(
        library,
        PhotosOptions(library, (), None, write_back=app is not None),
        settings,
        Question.of(options, "demo", None),
        options,
        sample=SampleOptions(assume_yes=True),
        dry_run=app is None,
        as_json=False,
    )


def only_job(run: CaptionRun, settings: Settings, store: Store) -> Job:
    """Return the job about the only photo without a text."""
    images, question = run._images, run._question
    planned = plan_images(
        images.find([], LeftOut()), run._options, store=store, digest_of=question.digest_of, places=images.places
    )
    [pending] = [one for one in planned if isinstance(one, PendingImage)]
    return job_about(pending, question, Batch(description="", model="demo"), settings=settings)


def test_photos_with_texts_are_skipped_and_the_library_is_only_read(
    library: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of the texts is named, and what is left out is counted."""
    before = sorted(library.rglob("*"))
    assert made(library, settings, monkeypatch).caption([], description="x") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "2 images: 1 to caption, 1 to skip, 0 that will fail",
        "Skipped: 1 image with a text (--existing replace asks again)",
        "1 hidden photo left out",
        "Model: demo (on this machine)",
        "Dry run: nothing was written, queued or started.",
    ]
    assert said.err == f"Reading {library} … The texts of its photos go to {library.with_name('My captions')}.\n"
    assert sorted(library.rglob("*")) == before


def test_prompts_know_what_photos_knows(
    library: Path, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are those of the imported files, and the first album is the folder. The preset's keywords are remembered as such."""
    prompt = "{title} at {place} in {folder}: {name}, {stem}, {camera}"
    job = only_job(made(library, settings, monkeypatch, prompt=prompt), settings, store)
    assert "Mia at Zoo, Berlin in Cats: IMG_1.HEIC, IMG_1, " in job.request
    assert job.output == (library.with_name("My captions") / "IMG_1.HEIC.B.txt").as_uri()
    assert only_job(made(library, settings, monkeypatch, preset="tags"), settings, store).parsed_delivery().keywords


def test_texts_that_are_there_are_written_back(
    library: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that has nothing to caption still writes what is missing in Photos, unless its sample was declined."""
    app = RememberingApp({"A": PhotoTexts(), "B": PhotoTexts()})
    (library.with_name("My captions") / "IMG_1.HEIC.B.txt").write_text("A dog.\n")
    run = made(library, settings, monkeypatch, app=app)
    run._sample.acceptance.given = False
    assert run.caption([], description="x") == 0
    assert app.written == {}
    run._sample.acceptance.given = None
    assert run.caption([], description="x") == 0
    assert app.written == {"A": PhotoTexts(description="A cat."), "B": PhotoTexts(description="A dog.")}
    assert "Written into Photos: 2 photos (2 descriptions)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Missing argument 'PATH...'"),
        (["--album", "Zoo"], "--album goes with --photos-library"),
        (["L.photoslibrary"], "Use --photos-library"),
        (["a.jpg", "--photos-library", "L.photoslibrary"], "not both"),
        (["--photos-library", "L.photoslibrary", "--embed"], "--embed goes without"),
        (["--photos-library", "L.photoslibrary", "--watch"], "--watch watches folders"),
        (["--photos-library", "L.photoslibrary", "--write-back", "--dry-run"], "without --write-back"),
        (["--photos-library", "L.photoslibrary", "--write-back", "--existing", "append"], "no append"),
        (["--photos-library", "L.photoslibrary", "--yes"], "--yes goes with --sample and --write-back"),
    ],
)
def test_options_that_a_library_cannot_follow_are_refused(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], reason: str
) -> None:
    """Before anything is read."""
    monkeypatch.chdir(tmp_path)
    Path("L.photoslibrary").mkdir()
    Path("a.jpg").touch()
    result = run.invoke(captionq, ["caption", *options, "--model", "demo"])
    assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr
