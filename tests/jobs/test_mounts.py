"""Addresses in rows, and the places of the same files on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.configuration.path_map import parsed_path_map
from jobs.configuration.settings import Settings
from jobs.errors import ImageForbiddenError, ImageNotFoundError, ImageNotReachedError, InvalidRequestError
from jobs.images.sources import image_source
from jobs.mounts import Mounts, file_addresses, use_mounts
from jobs.requests import address_of, path_of


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A folder that rows name /Volumes/My Photos."""
    folder = tmp_path / "mnt" / "pictures"
    folder.mkdir(parents=True)
    use_mounts({"/Volumes/My Photos": str(folder)})
    yield folder
    use_mounts({})


@pytest.mark.parametrize(
    ("named", "here"),
    [
        ("/Volumes/Photos/a.jpg", "/mnt/photos/a.jpg"),
        ("/Volumes/Photos", "/mnt/photos"),
        ("/Volumes/Photos/raw/a b.jpg", "/fast/raw/a b.jpg"),
        ("/Volumes/Photos/rawer/a.jpg", "/mnt/photos/rawer/a.jpg"),
        ("/Volumes/Photos2/a.jpg", "/Volumes/Photos2/a.jpg"),
        ("/volumes/photos/a.jpg", "/volumes/photos/a.jpg"),
        ("/Users/anna/a.jpg", "/Users/anna/a.jpg"),
    ],
)
def test_the_longest_folder_decides_in_both_directions(named: str, here: str) -> None:
    mounts = Mounts({"/Volumes/Photos": "/mnt/photos", "/Volumes/Photos/raw": "/fast/raw"})
    assert mounts.here(Path(named)) == Path(here)
    assert mounts.named(Path(here)) == Path(named)


def test_two_dots_do_not_lead_out_of_a_mount() -> None:
    """`..` is taken away before folders are compared: nothing below a mount's neighbour gets the mount's name."""
    mounts = Mounts({"/Volumes/Photos": "/mnt/photos"})
    assert mounts.here(Path("/Volumes/Photos/../secret.jpg")) == Path("/Volumes/Photos/../secret.jpg")
    assert mounts.here(Path("/Volumes/x/../Photos/a.jpg")) == Path("/mnt/photos/a.jpg")
    assert mounts.named(Path("/mnt/photos/../other/a.jpg")) == Path("/mnt/photos/../other/a.jpg")


def test_a_file_whose_path_means_another_file_is_not_named() -> None:
    """A text would go beside another picture."""
    mounts = Mounts({"/Volumes/Photos": "/mnt/photos", "/Volumes/Photos/raw": "/fast/raw"})
    for path in ("/Volumes/Photos/a.jpg", "/mnt/photos/raw/a.jpg"):
        with pytest.raises(InvalidRequestError, match="CAPTIONQ_PATH_MAP"):
            mounts.named(Path(path))


def test_a_mount_behind_a_link_has_its_name(mount: Path, tmp_path: Path) -> None:
    """The API resolves links before it makes an address."""
    link = tmp_path / "link"
    link.symlink_to(mount)
    use_mounts({"/Volumes/My Photos": str(link)})
    assert address_of(mount / "ä.jpg") == address_of(link / "ä.jpg") == "file:///Volumes/My%20Photos/%C3%A4.jpg"
    assert path_of("file:///Volumes/My%20Photos/%C3%A4.jpg") == link / "ä.jpg"


def test_roots_hold_after_mapping(mount: Path, settings: Settings, tmp_path: Path) -> None:
    """The file's place here decides, links resolved, and not the name in the address."""
    (mount / "a.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (mount / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    address = "file:///Volumes/My%20Photos/"
    assert image_source(address + "a.jpg", settings, [mount]) == mount / "a.jpg"
    for name, roots in (("link.jpg", [mount]), ("a.jpg", [Path("/Volumes/My Photos")])):
        with pytest.raises(ImageForbiddenError):
            image_source(address + name, settings, roots)


def test_a_missing_mount_is_told_from_a_missing_file(mount: Path, settings: Settings) -> None:
    """The folder of an unmounted share is empty."""
    address = "file:///Volumes/My%20Photos/2024/a.jpg"
    with pytest.raises(ImageNotReachedError, match=r"^a\.jpg is not reached") as raised:
        image_source(address, settings)
    assert str(mount) not in raised.value.message
    (mount / "2024").mkdir()
    with pytest.raises(ImageNotFoundError) as gone:
        image_source(address, settings)
    assert not isinstance(gone.value, ImageNotReachedError)


@pytest.mark.parametrize("folder", ["/", "/My Photos", "/a/Z\u00fcrich"])
def test_many_files_of_a_folder_have_the_addresses_of_their_paths(folder: str) -> None:
    """Also with names that an address cannot hold as they are."""
    names = ["a.jpg", "a b.jpg", "100%.png", "é#?.jpg", "\udcff.jpg", "~x-1_2.txt"]
    addresses = file_addresses(Path(folder), names)
    assert addresses == [Path(folder, name).as_uri() for name in names]
    assert [path_of(address) for address in addresses] == [Path(folder, name) for name in names]


def test_the_map_is_read_from_text_and_json() -> None:
    text = parsed_path_map("/Volumes/My Photos = /mnt/my photos/ ; /a=/b")
    assert text == parsed_path_map('{"/Volumes/My Photos": "/mnt/my photos", "/a/": "/b"}')
    assert text == {"/Volumes/My Photos": "/mnt/my photos", "/a": "/b"}


@pytest.mark.parametrize("value", ["/a", "a=/b", "/a=b", "/=/b", "/a=/b;/c=/b/", '{"/a": 1}', '["/a"]', "{"])
def test_a_map_that_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        parsed_path_map(value)
