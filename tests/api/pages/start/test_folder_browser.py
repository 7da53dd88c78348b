"""Served folders to choose from: no look leaves them, or takes longer than its seconds."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from api.pages.start import folder_browser
from api.pages.start.folder_browser import view_folder
from jobs.configuration.settings import Settings
from jobs.errors import ImageForbiddenError, NotFoundError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A served folder with two levels."""
    root = tmp_path / "served"
    for name in ("a.jpg", "one/b.jpg", "one/inner/c.png", "two/d.webp", "two/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def serve(settings: Settings, *roots: Path) -> Settings:
    """Return settings that serve these folders."""
    return settings.model_copy(update={"served_roots": roots})


def test_a_folder_shows_its_way_its_folders_and_its_pictures(settings: Settings, root: Path) -> None:
    """The only served folder is open at once; names are those of folders, paths are quoted."""
    served = serve(settings, root)
    view = view_folder("", served)
    assert (view.pictures, view.is_counted) == (4, True)
    assert [(link.name, link.pictures) for link in view.folders] == [("one", 2), ("two", 1)]
    inner = view_folder(unquote(view.folders[0].quoted), served)
    assert [link.name for link in inner.crumbs] == ["served", "one"]
    assert [link.name for link in inner.folders] == ["inner"]
    assert [link.name for link in view_folder("", serve(settings, root / "one", root / "two")).folders] == [
        "one",
        "two",
    ]


def test_nothing_outside_is_listed_or_opened(settings: Settings, root: Path, tmp_path: Path) -> None:
    """Links, packages, hidden folders and names that no form can send are left out; a link within stays."""
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "in").symlink_to(root / "two")
    (root / "loop").symlink_to(root / "loop")
    (root / "Photos.photoslibrary").mkdir()
    (root / ".hidden").mkdir()
    os.mkdir(os.fsencode(root) + b"/not-\xff-unicode")  # noqa: PTH102  # no Path holds these bytes as text
    served = serve(settings, root)
    assert [link.name for link in view_folder("", served).folders] == ["in", "one", "two"]
    for path in (tmp_path / "outside", root / "out", root / "../outside", Path("/nowhere")):
        with pytest.raises(ImageForbiddenError, match="not below a served folder"):
            view_folder(str(path), served)
    with pytest.raises(NotFoundError, match=r"a\.jpg is no folder"):
        view_folder(str(root / "a.jpg"), served)


def test_unshown_characters_of_a_name_stand_as_escapes(settings: Settings, root: Path) -> None:
    """A name cannot turn the direction of writing; its path still leads to the folder."""
    (root / "one\u202egpj\n").mkdir()
    served = serve(settings, root)
    link = view_folder("", served).folders[1]
    assert link.name == r"one\u202egpj\n"
    assert view_folder(unquote(link.quoted), served).crumbs[-1].name == link.name


def test_counting_ends_when_its_time_is_up(settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a tree without pictures, whose walk yields nothing."""
    monkeypatch.setattr(folder_browser, "COUNT_SECONDS", -1.0)
    (root / "a.jpg").unlink()
    view = view_folder("", serve(settings, root))
    assert (view.is_counted, [link.pictures for link in view.folders]) == (False, [None, None])
