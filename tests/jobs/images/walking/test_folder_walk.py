"""Walking folders."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.output.left_out_lines import left_out_lines
from jobs.captions.sidecars import Sidecars
from jobs.errors import InvalidRequestError
from jobs.images.allowed_roots import is_below
from jobs.images.formats import container_kinds
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_images import NAMES_A_PART, by_folder
from jobs.images.walking.folder_walk import find_by_folder, find_images, image_extensions
from jobs.images.walking.left_out import LeftOut
from jobs.images.walking.path_patterns import PathPatterns
from jobs.options.selection import SelectionOptions


def touch(root: Path, *names: str) -> None:
    """Make files with no content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root: Path, *paths: Path, recursive: bool = True) -> list[str]:
    """Return the images that are found, relative to the root."""
    return [str(path.relative_to(root)) for path in find_images(paths or (root,), recursive=recursive)]


def test_images_are_found_by_their_endings_in_the_order_of_their_names(tmp_path: Path) -> None:
    """The case of the ending does not matter; hidden files and other files are left out."""
    touch(tmp_path, "b.JPG", "a.heic", "c.txt", ".hidden.png", "._a.jpg", "sub/d.webp", ".thumbs/e.png")
    assert names(tmp_path) == ["a.heic", "b.JPG", "sub/d.webp"]


def test_a_large_folder_comes_in_parts(tmp_path: Path) -> None:
    """No part waits for the whole of it, and each has images of one folder."""
    count = NAMES_A_PART + 1
    touch(tmp_path, *(f"{number:04}.png" for number in range(count)), "sub/a.png")
    parts = list(find_by_folder([tmp_path], recursive=True))
    assert [(part.folder, len(part.names)) for part in parts] == [
        (tmp_path, NAMES_A_PART),
        (tmp_path, 1),
        (tmp_path / "sub", 1),
    ]
    images = [image for part in parts for image in part.paths]
    assert list(by_folder(images)) == parts
    assert images == list(find_images([tmp_path], recursive=True))
    filtered = find_by_folder([tmp_path], recursive=True, only=FileFilter(exclude=PathPatterns(["0000.png"])))
    assert [image for part in filtered for image in part.paths] == images[1:]


def test_folders_below_can_be_left_out(tmp_path: Path) -> None:
    """As with --no-recursive."""
    touch(tmp_path, "a.png", "sub/b.png")
    assert names(tmp_path, recursive=False) == ["a.png"]


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    """Its content will show whether it is an image."""
    touch(tmp_path, "photo", "a.png")
    assert names(tmp_path, tmp_path / "photo") == ["photo"]


def test_every_image_comes_once(tmp_path: Path) -> None:
    """Also if it is named twice, or named and in a folder that is named."""
    touch(tmp_path, "a.png", "b.png")
    assert names(tmp_path, tmp_path / "b.png", tmp_path, tmp_path / "a.png") == ["b.png", "a.png"]


def test_an_image_comes_once_by_whatever_path_its_folder_is_named(tmp_path: Path) -> None:
    """Two jobs would write one file."""
    touch(tmp_path, "real/a.png")
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path, tmp_path / "link" / "a.png", tmp_path / "real" / "a.png", tmp_path / "real") == [
        "link/a.png"
    ]


def test_links_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    """The images of a linked folder are found; a link to the folder itself is not followed."""
    touch(tmp_path, "real/a.png", "other/b.png")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "real" / "linked").symlink_to(tmp_path / "other")
    assert names(tmp_path, tmp_path / "real") == ["real/a.png", "real/linked/b.png"]


def test_no_link_is_followed_out_of_the_roots(tmp_path: Path) -> None:
    """Links below the roots are followed; a loop of links only ends itself."""
    touch(tmp_path, "root/a/a.png", "root/b/b.png", "outside/c.png")
    (tmp_path / "root" / "a" / "in").symlink_to(tmp_path / "root" / "b")
    (tmp_path / "root" / "a" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "a" / "loop").symlink_to("loop")
    found = find_images([tmp_path / "root" / "a"], recursive=True, roots=[tmp_path / "root"])
    assert [path.relative_to(tmp_path / "root" / "a").as_posix() for path in found] == ["a.png", "in/b.png"]


def test_a_dangling_link_comes_out_like_an_image(tmp_path: Path) -> None:
    """Its job will report the error."""
    touch(tmp_path, "a.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["a.png", "dangling.png"]


def test_a_folder_with_an_images_extension_is_a_folder(tmp_path: Path) -> None:
    """Its images are found, at any depth and behind links; without subfolders it is left alone."""
    touch(tmp_path, "a.png", "trip.jpg/b.jpg", "trip.jpg/day.heic/c.webp", "other/d.gif")
    (tmp_path / "linked.tiff").symlink_to(tmp_path / "other")
    found = ["a.png", "linked.tiff/d.gif", "trip.jpg/b.jpg", "trip.jpg/day.heic/c.webp"]
    assert names(tmp_path) == found
    assert names(tmp_path, recursive=False) == ["a.png"]
    assert names(tmp_path, tmp_path / "trip.jpg", recursive=False) == ["trip.jpg/b.jpg"]


def test_a_file_whose_name_begins_with_a_tilde_is_that_file(tmp_path: Path) -> None:
    """No user of this name is looked for."""
    touch(tmp_path, "~nobody-here.png")
    assert names(tmp_path, tmp_path / "~nobody-here.png") == ["~nobody-here.png"]


def excluded(root: Path, *patterns: str) -> tuple[list[str], int]:
    """Return the images that patterns leave, and the number of excluded files and folders."""
    left_out = LeftOut()
    found = find_images([root], recursive=True, only=FileFilter(exclude=PathPatterns(patterns)), left_out=left_out)
    return [path.relative_to(root).as_posix() for path in found], left_out.excluded


def test_patterns_leave_out_files_and_folders(tmp_path: Path) -> None:
    """Patterns are git's: for names at any depth, for folders, from the named folder on, and taken back."""
    touch(tmp_path, "a.jpg", "a_edit.jpg", "old/b.jpg", "new/old/c.jpg", "new/c_EDIT.JPG", "thumbs", "new/thumbs/d.jpg")
    assert excluded(tmp_path, "*_edit.jpg", "thumbs/") == (["a.jpg", "new/old/c.jpg", "old/b.jpg"], 3)
    assert excluded(tmp_path, "/old", "new/*/*.jpg") == (["a.jpg", "a_edit.jpg", "new/c_EDIT.JPG"], 3)
    assert excluded(tmp_path, "*.jpg", "!a.jpg") == (["a.jpg"], 5)
    assert excluded(tmp_path, "", "# a comment")[1] == 0


def test_a_folder_that_is_named_beside_one_above_it_hides_nothing(tmp_path: Path) -> None:
    """Patterns are relative to each named folder: what one leaves out is found below the other, whichever is named first."""
    touch(tmp_path, "a/x.jpg", "a/y.jpg", "b/x.jpg")
    for paths in ([tmp_path / "a", tmp_path], [tmp_path, tmp_path / "a"]):
        for options, expected in (
            ({"include": ("a/*.jpg",)}, ["a/x.jpg", "a/y.jpg"]),
            ({"exclude": ("/x.jpg",)}, ["a/x.jpg", "a/y.jpg", "b/x.jpg"]),
        ):
            only = FileFilter.of(SelectionOptions(**options))
            found = find_images(paths, recursive=True, only=only)
            assert sorted(str(path.relative_to(tmp_path)) for path in found) == expected


def test_patterns_are_compared_as_a_mac_compares_names(tmp_path: Path) -> None:
    """An accent may be one character or two."""
    touch(tmp_path, "Cafe\u0301/a.jpg", "b.jpg")
    assert excluded(tmp_path, "caf\xe9") == (["b.jpg"], 1)


def test_patterns_hold_for_named_files_too(tmp_path: Path) -> None:
    """A shell has written `*.jpg` out."""
    touch(tmp_path, "a.jpg", "a_edit.jpg")
    only = FileFilter(exclude=PathPatterns(["*_edit.jpg"]))
    found = find_images([tmp_path / "a.jpg", tmp_path / "a_edit.jpg"], recursive=True, only=only)
    assert list(found) == [tmp_path / "a.jpg"]


@pytest.mark.parametrize("pattern", ["!", "\\", "a[z-b]", "*a*a*a*b", "**/**/**/**/a"])
def test_a_pattern_that_is_not_valid_is_named(pattern: str) -> None:
    """Also a pattern that would take minutes to compare."""
    with pytest.raises(InvalidRequestError, match=f"^The pattern '{re.escape(pattern)}' (is not valid|has more)"):
        PathPatterns(["*.jpg", pattern])


def chosen(root: Path, left_out: LeftOut | None = None, **options: Any) -> list[str]:
    """Return the images that the options choose, relative to the root."""
    only = FileFilter.of(SelectionOptions(**options))
    found = find_images([root], recursive=True, only=only, left_out=left_out)
    return [path.relative_to(root).as_posix() for path in found]


def test_only_files_that_match_are_taken(tmp_path: Path) -> None:
    """A pattern may name a folder; an excluded file stays out, and the rest is counted."""
    touch(tmp_path, "a.jpg", "b.heic", "2024/c.jpg", "2024/d.heic", "2024/old/e.HEIC")
    left_out = LeftOut()
    assert chosen(tmp_path, left_out, include=("*.heic",)) == ["b.heic", "2024/d.heic", "2024/old/e.HEIC"]
    assert left_out.excluded == 2
    assert chosen(tmp_path, include=("2024/",)) == ["2024/c.jpg", "2024/d.heic", "2024/old/e.HEIC"]
    assert chosen(tmp_path, include=("2024/", "a.jpg"), exclude=("old/", "c.*")) == ["a.jpg", "2024/d.heic"]


def test_only_files_that_were_changed_lately_are_taken(tmp_path: Path) -> None:
    """The time is an age or a date; a named file is no exception, and a dangling link is left to its job."""
    touch(tmp_path, "new.jpg", "old.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    os.utime(tmp_path / "old.jpg", (time.time() - 8 * 86_400,) * 2)
    left_out = LeftOut()
    assert chosen(tmp_path, left_out, newer_than="7d") == ["dangling.jpg", "new.jpg"]
    assert left_out.older == 1
    assert len(chosen(tmp_path, newer_than="9d")) == 3
    assert chosen(tmp_path, newer_than="2999-01-01") == ["dangling.jpg"]
    only = FileFilter.of(SelectionOptions(newer_than="7d"))
    assert list(find_images([tmp_path / "old.jpg"], recursive=True, only=only)) == []


@pytest.mark.parametrize("text", ["", "d", "7", "7y", "-7d", "1e3d", "²d", "2026-13-01", "yesterday", "9999999d"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """The error names the value, and the forms that can be written."""
    with pytest.raises(ValidationError, match="neither an age, such as 12h, 7d or 4w, nor a date such as 2026-11-01"):
        SelectionOptions(newer_than=text)


def test_images_that_are_in_a_cloud_are_noted_under_their_own_names(tmp_path: Path) -> None:
    """A placeholder stands for an image, in a folder or named itself; other hidden files and placeholders of texts do not."""
    touch(tmp_path, "a.jpg", ".b.HEIC.icloud", ".notes.odt.icloud", ".icloud", ".c.jpg", "sub/.d.png.icloud", "e.txt")
    left_out = LeftOut()
    paths = [tmp_path, tmp_path / "sub" / ".d.png.icloud"]
    assert list(find_images(paths[:1], recursive=True, left_out=left_out)) == [tmp_path / "a.jpg"]
    assert left_out.in_cloud == [tmp_path / "b.HEIC", tmp_path / "sub" / "d.png"]
    assert left_out.others == {".odt": 1, ".txt": 1}
    assert list(find_images(paths[1:], recursive=True)) == []


def test_links_are_resolved_on_both_sides_before_a_path_is_judged(tmp_path: Path) -> None:
    """A root may be a link; a name that only begins like a root is outside, and so is a dangling link."""
    touch(tmp_path, "root/a.png", "root-2/b.png")
    (tmp_path / "link").symlink_to("root")
    (tmp_path / "root" / "out.png").symlink_to(tmp_path / "root-2" / "b.png")
    (tmp_path / "root" / "loop").symlink_to("loop")
    for one in (tmp_path / "root", tmp_path / "link"):
        assert is_below(tmp_path / "root" / "a.png", [one])
        assert is_below(tmp_path / "link" / "new" / "c.png", [one])
        for name in ("root-2/b.png", "root/out.png", "root/../root-2/b.png", "link/../b.png", "root/loop/../../b.png"):
            assert not is_below(tmp_path / name, [one])
    assert not is_below(tmp_path / "root" / "a.png", [])


PACKAGES = (
    "Photos Library.photoslibrary",
    "iPhoto Library.photolibrary",
    "Old.MigratedPhotoLibrary",
    "Aperture Library.aplibrary",
    "Catalog Previews.lrdata",
    "Cloud.lrlibrary",
    "Preview.app",
    "Things.bundle",
    "Kit.framework",
    "Cut.fcpbundle",
    "Film.imovielibrary",
    "Shows.tvlibrary",
    "Film.theater",
    "Notes.rtfd",
    "Report.pages",
    "Table.numbers",
    "Talk.key",
    "Novel.epub",
    "photo.jpg.download",
    "Studio.cocatalog",
    "Archive.dtBase2",
    "@eaDir",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
)


def test_packages_and_system_folders_are_not_entered(tmp_path: Path) -> None:
    """A link does not lead into them either; a folder whose whole name is an ending is ordinary."""
    touch(tmp_path, *(f"{name}/below/a.jpg" for name in PACKAGES), "my app/b.jpg", "app/c.jpg", ".Trashes/d.jpg")
    (tmp_path / "link").symlink_to(tmp_path / PACKAGES[0])
    left_out = LeftOut()
    found = list(find_images([tmp_path], recursive=True, left_out=left_out))
    assert [str(path.relative_to(tmp_path)) for path in found] == ["app/c.jpg", "my app/b.jpg"]
    assert sorted(path.name for path in left_out.packages) == sorted([*PACKAGES, "link"])


def test_a_package_that_is_named_is_entered(tmp_path: Path) -> None:
    """Only the named package is entered, not a package in it; a walk without subfolders leaves none out."""
    touch(tmp_path, "My.photoslibrary/originals/a.heic", "My.photoslibrary/Tool.app/icon.png")
    left_out = LeftOut()
    found = list(find_images([tmp_path / "My.photoslibrary"], recursive=True, left_out=left_out))
    assert found == [tmp_path / "My.photoslibrary" / "originals" / "a.heic"]
    assert left_out.packages == [tmp_path / "My.photoslibrary" / "Tool.app"]
    left_out = LeftOut()
    assert list(find_images([tmp_path], recursive=False, left_out=left_out)) == []
    assert left_out.packages == []


def test_a_shot_of_several_files_counts_once(tmp_path: Path) -> None:
    """The video of a Live Photo is left out, and a burst beside its cover or first frame; a named file is taken."""
    touch(tmp_path, "IMG_1.HEIC", "IMG_1.MOV", "img_2.jpg", "IMG_2.mov", "IMG_3.MOV", "sub/IMG_1.MOV", "notes.heic.txt")
    touch(tmp_path, *(f"b/0000{n}IMG_0000{n}_BURST20260101120000123{'_COVER' * (n == 2)}.jpg" for n in range(4)))
    touch(tmp_path, "c/1_BURST20260101.jpg", "c/2_BURST20260101.jpg", "c/2_BURST20260102.jpg", "c/burst.jpg")
    left_out = LeftOut()
    found = [
        path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path], recursive=True, left_out=left_out)
    ]
    assert found == [
        "IMG_1.HEIC",
        "IMG_3.MOV",
        "img_2.jpg",
        "b/00002IMG_00002_BURST20260101120000123_COVER.jpg",
        "c/1_BURST20260101.jpg",
        "c/2_BURST20260102.jpg",
        "c/burst.jpg",
        "sub/IMG_1.MOV",
    ]
    assert left_out.of_shots == 6
    assert names(tmp_path, tmp_path / "IMG_1.MOV") == ["IMG_1.MOV"]
    sidecars = Sidecars()
    texts = [sidecars.path_for(tmp_path / name).name for name in ("IMG_1.HEIC", "IMG_1.MOV", "IMG_3.MOV")]
    assert texts == ["IMG_1.txt", "IMG_1.MOV.txt", "IMG_3.txt"]


def test_files_that_need_an_extra_are_taken_if_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the extra that reads them is named."""
    touch(tmp_path, "a.CR3", "b.pdf", "c.mp4", "d.jpg", "e.nef", "f.txt")
    assert names(tmp_path) == ["a.CR3", "b.pdf", "c.mp4", "d.jpg", "e.nef"]
    monkeypatch.setattr(container_kinds, "_is_installed", lambda module: module == "av")
    image_extensions.cache_clear()
    left_out = LeftOut()
    assert len(list(find_images([tmp_path], recursive=True, left_out=left_out))) == 2
    assert list(left_out_lines(left_out)) == [
        "2 RAW photographs left out. To read them: pip install 'captionq[raw]'",
        "1 PDF left out. To read it: pip install 'captionq[pdf]'",
    ]
    image_extensions.cache_clear()
