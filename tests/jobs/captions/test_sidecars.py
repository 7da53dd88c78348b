"""The names of text files: unique in a folder, derived only from the folder, and stable when images are added."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.captions.output_names import NAME_BYTES, NameClaims, digest_names, fold, fold_all, is_text_name, texts_among
from jobs.captions.sidecars import FolderTexts, Sidecars
from jobs.captions.text_owners import find_owners, plain_owners
from jobs.images.walking.folder_walk import has_image_extension, images_among

#: Seconds since the epoch: before the texts are written, at that time, and after it.
OLD, WRITTEN = 1_000, 2_000


@contextmanager
def told_times() -> Iterator[dict[str, int]]:
    """Fake the times of changes (`st_ctime`) of files by their names, in seconds: no system call can set them."""
    changed: dict[str, int] = {}
    lstat = Path.lstat

    def lstat_with_times(path: Path) -> os.stat_result:
        state = lstat(path)
        own = {"st_mtime_ns": state.st_mtime_ns, "st_ctime_ns": changed.get(path.name, OLD) * 10**9}
        return os.stat_result(tuple(state), own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "lstat", lstat_with_times)
        yield changed


@pytest.fixture
def times() -> Iterator[dict[str, int]]:
    """Fake the times for a whole test."""
    with told_times() as changed:
        yield changed


def touch(folder: Path, names: Iterable[str]) -> None:
    """Make images: files with no content."""
    for name in names:
        (folder / name).touch()


def write(folder: Path, *names: str) -> None:
    """Write texts of a known age."""
    for name in names:
        (folder / name).write_text("a text\n")
        os.utime(folder / name, (WRITTEN, WRITTEN))


def texts(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the names of the images' texts, by the images' names."""
    sidecars = Sidecars()
    return {name: sidecars.path_for(folder / name).name for name in names}


def test_the_text_stands_beside_the_image(tmp_path: Path) -> None:
    """photo.jpg gets photo.txt; only the last ending is replaced."""
    touch(tmp_path, ["photo.jpg", "a.b.png"])
    assert texts(tmp_path, ["photo.jpg", "a.b.png"]) == {"photo.jpg": "photo.txt", "a.b.png": "a.b.txt"}
    assert Sidecars().path_for(tmp_path / "photo.jpg") == tmp_path / "photo.txt"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["IMG_1.HEIC", "img_1.jpg", "IMG_2.HEIC"], ["IMG_1.HEIC.txt", "img_1.jpg.txt", "IMG_2.txt"]),
        (["IMG_1.HEIC", "IMG_1.HEIC.jpg", "IMG_1.jpg"], ["IMG_1.HEIC.txt", "IMG_1.HEIC.jpg.txt", "IMG_1.jpg.txt"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg.txt", "a.jpg.png.txt", "a.png.txt"]),
        (["a.jpg", "a.jpg.png"], ["a.txt", "a.jpg.png.txt"]),
        (["é.jpg", normalize("NFD", "é.png")], ["é.jpg.txt", normalize("NFD", "é.png.txt")]),
        (["A.png", "a.png"], [digest_names("A.png")[0], digest_names("a.png")[0]]),
        (["shot.1", "shot.2"], ["shot.1.txt", "shot.2.txt"]),
        (["p", "p.jpg"], [digest_names("p")[0], "p.txt"]),
        (["IMG.txt"], ["IMG.txt.txt"]),
    ],
)
def test_images_that_could_share_a_text_do_not(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    """Phones export IMG_1.HEIC beside IMG_1.JPG: one image's text would overwrite the other's."""
    assert [FolderTexts(tmp_path, names).text_of(name) for name in names] == expected


def test_a_text_stays_with_its_image_when_a_twin_comes(tmp_path: Path, times: dict[str, int]) -> None:
    """The twin gets another text; both names stay after that text is written."""
    touch(tmp_path, ["IMG_1.HEIC", "IMG_1.jpg"])
    write(tmp_path, "IMG_1.txt")
    times["IMG_1.jpg"] = WRITTEN + 1
    expected = {"IMG_1.HEIC": "IMG_1.txt", "IMG_1.jpg": "IMG_1.jpg.txt"}
    assert texts(tmp_path, expected) == expected
    write(tmp_path, "IMG_1.jpg.txt")
    times.clear()
    assert texts(tmp_path, expected) == expected


def test_a_text_whose_image_cannot_be_told_is_nobodys(tmp_path: Path, times: dict[str, int]) -> None:
    """Both images are older than the text: neither is skipped because of the text, and neither overwrites it."""
    touch(tmp_path, ["IMG_1.HEIC", "IMG_1.jpg"])
    write(tmp_path, "IMG_1.txt")
    assert set(texts(tmp_path, ["IMG_1.HEIC", "IMG_1.jpg"]).values()) == {"IMG_1.HEIC.txt", "IMG_1.jpg.txt"}


def test_a_file_without_an_ending_owns_a_text_by_the_times_only(tmp_path: Path, times: dict[str, int]) -> None:
    """The text of README beside README.png belongs to the image, unless the image is newer than the text."""
    touch(tmp_path, ["README", "README.png"])
    write(tmp_path, "README.txt")
    assert texts(tmp_path, ["README.png"]) == {"README.png": "README.txt"}
    times["README.png"] = WRITTEN + 1
    assert texts(tmp_path, ["README.png", "README"]) == {"README.png": "README.png.txt", "README": "README.txt"}


def test_a_copied_folder_keeps_the_texts_of_its_images(tmp_path: Path, times: dict[str, int]) -> None:
    """All images are newer than the texts, so only the names decide."""
    names = ["IMG_1.HEIC", "IMG_1.jpg", "IMG_1.HEIC.jpg", "IMG_2.jpg"]
    touch(tmp_path, names)
    expected = texts(tmp_path, names)
    write(tmp_path, *expected.values())
    times.update(dict.fromkeys(names, WRITTEN + 1))
    assert texts(tmp_path, names) == expected


def test_a_long_name_is_cut_by_its_bytes(tmp_path: Path) -> None:
    """84 letters of three bytes: the plain name fits; if another image has it, the digest keeps the cut names apart."""
    long = "字" * 83
    names = [f"{long}.jpg", f"{long}.png", f"{'字' * 80}.jpeg", "字" * 84]
    touch(tmp_path, names)
    found = texts(tmp_path, names)
    assert found[names[2]] == f"{'字' * 80}.txt"
    assert len(set(found.values())) == 4
    for text in found.values():
        assert len(os.fsencode(text)) <= NAME_BYTES
        (tmp_path / text).touch()
    assert texts(tmp_path, names) == found


STEMS = st.sampled_from(["a", "A", "é", normalize("NFD", "é"), "a.jpg", "a.JPG", "a.png", "字" * 83, "a.txt"])
NAMES = st.builds(str.__add__, STEMS, st.sampled_from([".jpg", ".JPG", ".png", ""]))


@given(st.lists(NAMES, unique=True, max_size=8))
def test_no_two_images_share_a_text(names: list[str]) -> None:
    """This holds for any names, also on file systems that ignore case and accents, and for any order of the names."""
    found = {name: FolderTexts(Path("/nowhere"), names).text_of(name) for name in names}
    assert len({fold(text) for text in found.values()}) == len(names)
    assert found == {name: FolderTexts(Path("/nowhere"), names[::-1]).text_of(name) for name in names}


TEXTS = st.builds(str.__add__, STEMS, st.sampled_from([".txt", ".TXT", ".jpg.txt", ".1a2b3c4d.txt"]))


@given(st.lists(NAMES | TEXTS | st.sampled_from(["b.jpg", "b.txt", "c\nd.png", "c\nd.txt"]), unique=True, max_size=8))
@example(["a.jpg", "a.txt", "b.png", "b.txt"])
@example(["a.jpg", "a.png", "a.txt"])
@example(["a.jpg", "a.jpg.txt", "a.txt"])
@example(["a", "a.jpg", "a.txt"])
@example(["a.jpg", "A.txt", "a.txt"])
@example(["a.jpg", digest_names("a.jpg")[0]])
def test_a_plain_folder_has_the_owners_that_the_rules_give(names: list[str]) -> None:
    """The quick way of large folders is taken only if it comes to the same."""
    images, texts = [name for name in names if has_image_extension(name)], texts_among(names)
    found = plain_owners(images, texts, names)
    texts.sort(key=lambda text: (-len(text), text))
    by_rules = find_owners(Path("/nowhere"), NameClaims(sorted(images), texts), texts, frozenset(names))
    assert found in (None, by_rules)
    if names == ["a.jpg", "a.txt", "b.png", "b.txt"]:
        assert found == {"a.jpg": "a.txt", "b.png": "b.txt"}


@given(st.lists(NAMES | TEXTS | st.text(min_size=1, max_size=5)))
def test_very_many_names_are_read_as_each_is(names: list[str]) -> None:
    """Folded, and told from other files."""
    assert fold_all(names) == [fold(name) for name in names]
    assert texts_among(names) == [name for name in names if is_text_name(name)]
    assert images_among(names) == [name for name in names if has_image_extension(name)]


@given(st.lists(NAMES, unique=True, max_size=7), NAMES.filter(lambda name: not is_text_name(name)), st.data())
def test_texts_stay_with_their_images_when_another_image_is_added(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], added: str, data: st.DataObject
) -> None:
    """Texts that exist stay with their images, and no image gets the text of another image."""
    folder = tmp_path_factory.mktemp("pictures")
    images = [name for name in names if has_image_extension(name) and name != added]
    touch(folder, images)
    before = texts(folder, images)
    captioned = data.draw(st.lists(st.sampled_from(images), unique=True)) if images else []
    write(folder, *(before[image] for image in captioned))
    with told_times() as times:
        assert texts(folder, images) == before
        touch(folder, [added])
        times[added] = WRITTEN + 1
        after = texts(folder, [*images, added])
    assert {image: after[image] for image in captioned} == {image: before[image] for image in captioned}
    assert len({fold(text) for text in after.values()}) == len(after)
