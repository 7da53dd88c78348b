"""Walking folders."""

from __future__ import annotations

from pathlib import Path

from jobs.images.allowed_roots import is_below
from jobs.images.folder_walk import find_images


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


def test_what_cannot_be_an_image_comes_out_all_the_same(tmp_path: Path) -> None:
    """The jobs of a dangling link and a folder called x.png will report the errors."""
    touch(tmp_path, "a.png", "x.png/inside.jpg")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["a.png", "dangling.png", "x.png"]


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
    "@eaDir",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
)


def test_packages_and_system_folders_are_not_entered(tmp_path: Path) -> None:
    """A link does not lead into them either; a folder whose whole name is an ending is ordinary."""
    touch(tmp_path, *(f"{name}/below/a.jpg" for name in PACKAGES), "my app/b.jpg", "app/c.jpg", ".Trashes/d.jpg")
    (tmp_path / "link").symlink_to(tmp_path / PACKAGES[0])
    left_out: list[Path] = []
    found = list(find_images([tmp_path], recursive=True, left_out=left_out))
    assert [str(path.relative_to(tmp_path)) for path in found] == ["app/c.jpg", "my app/b.jpg"]
    assert sorted(path.name for path in left_out) == sorted([*PACKAGES, "link"])


def test_a_package_that_is_named_is_entered(tmp_path: Path) -> None:
    """Only the named package is entered, not a package in it; a walk without subfolders leaves none out."""
    touch(tmp_path, "My.photoslibrary/originals/a.heic", "My.photoslibrary/Tool.app/icon.png")
    left_out: list[Path] = []
    found = list(find_images([tmp_path / "My.photoslibrary"], recursive=True, left_out=left_out))
    assert found == [tmp_path / "My.photoslibrary" / "originals" / "a.heic"]
    assert left_out == [tmp_path / "My.photoslibrary" / "Tool.app"]
    left_out.clear()
    assert list(find_images([tmp_path], recursive=False, left_out=left_out)) == []
    assert left_out == []
