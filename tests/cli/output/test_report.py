"""The summary at the end of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.output.report import make_report
from jobs.errors import ImageError
from jobs.safe_text import UNSHOWN
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from tests.support.command_output import output
from tests.support.rows import add_batch


def test_the_summary_names_a_command_that_lists_what_it_counted(
    run: CliRunner, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command lists failed and cancelled jobs alike, for each batch of the run."""
    report = make_report(as_json=False)
    for size in (24, 3):
        batch, jobs = add_batch(store, size)
        store.fail(jobs[0].id, ImageError("It cannot be read."))
        store.cancel([job.id for job in jobs[1:]])
        for job in store.finished_after(batch.id, 0):
            report.finished(job)
    report.sum_up()
    more = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  and ")]
    commands = [re.fullmatch(r"  and (\d+) more: captionq (jobs list .*)", line) for line in more]
    listed = [output(run.invoke(captionq, found[2].split())) for found in commands if found]
    assert [found[1] for found in commands if found] == ["4", "3"]
    assert [sum("job_" in line for line in text.splitlines()) for text in listed] == [24, 3]


def test_the_summary_names_folders_that_were_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are counted by kind, with the first path of each."""
    report = make_report(as_json=False)
    packages = report.left_out.packages
    packages += [Path("/pictures/A.photoslibrary"), Path("/nas/a/@eaDir"), Path("/nas/b/@eaDir")]
    packages.append(Path("/pictures/B.PhotosLibrary"))
    report.sum_up()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2 Photos libraries left out (/pictures/A.photoslibrary, …): caption one with --photos-library",
        "2 system folders left out (/nas/a/@eaDir, …): name one to enter",
    ]
    del packages[1:]
    report.sum_up()
    assert (
        "\n1 Photos library left out (/pictures/A.photoslibrary): caption it with --photos-library"
        in capsys.readouterr().out
    )


def test_the_summary_counts_what_a_photos_library_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """With the way to have it captioned. A failed photo has its own name, not that of the library's file."""
    report = make_report(as_json=False)
    photos = report.left_out.photos
    photos.movies, photos.hidden, photos.of_others = 2, 1, 1
    photos.in_cloud += ["IMG_1.HEIC", "IMG_2.HEIC"]
    photos.elsewhere.append("IMG_3.HEIC")
    photos.lost += ["IMG_4.HEIC", "IMG_5.HEIC"]
    job = Job(model="demo", request="{}", digest="", source="file:///L.photoslibrary/originals/A/A.heic")
    job.output, job.status, job.error_message = "file:///captions/IMG_4.HEIC.A.txt", JobStatus.FAILED, "It is empty."
    report.finished(job)
    report.sum_up()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2 photos are in iCloud, not on this Mac (IMG_1.HEIC, …): in the settings of Photos, under iCloud, choose Download "
        "Originals to this Mac, then run this again",
        "1 photo has no file on this machine (IMG_3.HEIC): connect the disk that it is on, then run this again",
        "2 photos have lost their files (IMG_4.HEIC, …): open Photos with Command and Option held down to repair the library, "
        "then run this again",
        "2 movies left out",
        "1 hidden photo left out",
        "1 photo that others shared left out: save it in Photos to caption it too",
        "  IMG_4.HEIC: It is empty.",
    ]


def test_the_summary_names_answers_that_look_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Such answers still count as captions."""
    report = make_report(as_json=False)
    for name, quality in (("fine", None), ("loops", "repetition"), ("silent", "empty")):
        job = Job(model="demo", request="{}", digest=name, source=f"file:///pictures/{name}.jpg")
        job.status, job.text, job.quality = JobStatus.SUCCEEDED, "red", quality
        report.finished(job)
    report.sum_up()
    said = capsys.readouterr().out
    assert "3 captioned" in said
    assert re.search(r"loops\.jpg: its answer repeats itself", said)
    assert re.search(r"silent\.jpg: its answer is empty", said)
    assert "fine.jpg" not in said


def test_answers_that_were_cut_off_are_counted_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder may hold thousands of them: the line has their number and the first names."""
    report = make_report(as_json=False)
    for number in range(5):
        job = Job(model="demo", request="{}", digest="x", source=f"file:///pictures/{number}.jpg")
        job.status, job.text, job.quality = JobStatus.SUCCEEDED, "An orange", "cut_off"
        report.finished(job)
    report.sum_up()
    assert capsys.readouterr().out.splitlines()[2:] == [
        "5 answers were cut off (/pictures/0.jpg, /pictures/1.jpg, /pictures/2.jpg, …): allow more with --max-tokens"
    ]
    assert report.doubtful == 5


def test_the_answer_about_one_image_stands_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets no control characters from a model; the summary goes to standard error."""
    report = make_report(as_json=False, one_image=True)
    job = Job(model="demo", request="{}", digest="x", source="file:///pictures/photo.jpg")
    job.status, job.text = JobStatus.SUCCEEDED, "Two:\n\ta \x1b]0;title\x07 \x9b2J and \u202etxt.exe"
    report.finished(job)
    report.sum_up()
    said = capsys.readouterr()
    assert said.out == "Two:\n\ta \\x1b]0;title\\x07 \\x9b2J and \\u202etxt.exe\n"
    assert "1 image: 1 captioned" in said.err


def test_the_summary_names_images_that_are_in_a_cloud(capsys: pytest.CaptureFixture[str]) -> None:
    """The line says how to get them."""
    report = make_report(as_json=False)
    report.left_out.in_cloud += [Path("/pictures/a.heic"), Path("/pictures/b.heic")]
    report.sum_up()
    assert (
        "\n2 images are in iCloud, not on this Mac (/pictures/a.heic, …): download them in Finder, then run this again\n"
        in capsys.readouterr().out
    )


def test_a_run_whose_images_were_all_skipped_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """A new prompt changes nothing for images that have a text; if a text was written by hand, another option helps."""
    report = make_report(as_json=False)
    report.skipped = 400
    report.sum_up()
    assert "\n400 already have a .txt: --existing replace asks again\n" in capsys.readouterr().out
    report.by_hand = 1
    report.sum_up()
    assert capsys.readouterr().out.splitlines()[1:] == ["1 text was written by hand: --force replaces it too"]
    report.by_hand, report.writes_text = 0, False
    report.sum_up()
    assert "\n400 already have these files: --existing replace asks again\n" in capsys.readouterr().out
    report.failed = 1
    report.sum_up()
    assert "already" not in capsys.readouterr().out


def test_a_run_that_finds_nothing_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the extensions of images and of other files, and counts those that a pattern excluded."""
    report = make_report(as_json=False)
    report.found_nothing("/a, /b")
    said = capsys.readouterr().out
    assert said.startswith("No images in /a, /b (looked for .")
    assert " .webp" in said
    assert said.endswith(")\n")
    for name in ("a.txt", "b.CR2", "b.CR2", "Makefile"):
        report.left_out.add_other(name)
    report.left_out.excluded = 2
    report.found_nothing("/a")
    assert capsys.readouterr().out.endswith("; 4 other files: .CR2 .txt; 2 excluded)\n")


def test_a_library_without_photos_has_no_list_of_extensions(capsys: pytest.CaptureFixture[str]) -> None:
    """Photos knows nothing of files; the photos that were left out are counted below."""
    report = make_report(as_json=False)
    report.found_nothing("/Old.photoslibrary")
    assert capsys.readouterr().out == "No photos to caption in /Old.photoslibrary\n"
    report.left_out.older, report.left_out.photos.hidden = 2, 3
    report.found_nothing("/Old.photoslibrary")
    assert capsys.readouterr().out == (
        "No photos to caption in /Old.photoslibrary (2 older)\n3 hidden photos left out\n"
    )


def test_names_and_reasons_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the summary nor the JSON holds control characters, line ends or direction marks of a name or a reason."""
    name = "/p/\x1b[2J\r\n\u202egnp\x9b.jpg"
    for as_json in (False, True):
        report = make_report(as_json=as_json)
        report.left_out.packages.append(Path(f"{name}.app"))
        report.left_out.in_cloud.append(Path(name))
        job = Job(model="demo", request="{}", digest="", source=Path(name).as_uri(), status=JobStatus.FAILED)
        job.error_message = f"{name} is damaged."
        doubtful = Job(model="demo", request="{}", digest="", source=Path(name).as_uri(), status=JobStatus.SUCCEEDED)
        doubtful.text, doubtful.quality = name, "empty"
        for one in (job, doubtful):
            report.finished(one)
        report.sum_up()
        report.found_nothing(name)
        said = "".join(capsys.readouterr())
        assert UNSHOWN.findall(said.replace("\n", "")) == []
        assert r"/p/\x1b[2J\r\n\u202egnp\x9b.jpg: its answer is empty" in said
        if as_json:
            assert json.loads(said.splitlines()[0])["image"] == name
