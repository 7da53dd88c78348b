"""Zips: every image comes out as it went in, under a harmless name, and no zip does harm."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ArchiveError
from jobs.images.stored.blobs import blob_path
from jobs.images.stored.zip_upload import _PIECE, unpack_images
from tests.support.unpacking import files_below, labels_of, refused
from tests.support.zips import SYMLINK, Member, make_zip

pytestmark = pytest.mark.usefixtures("nothing_half_written")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_image_comes_out_as_it_went_in(settings: Settings, method: int, *, streamed: bool) -> None:
    """The order is the zip's. Zips written as a stream, with the sizes behind the bytes, are read too."""
    contents = {
        "z.png": os.urandom(700_000),
        "trip/a.JPG": b"abc" * 400_000,
        "trip/b.heic": b"",
        "c.webp": bytes(3 << 18),
    }
    whole = io.BytesIO()
    target = _Pipe(whole) if streamed else whole
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    unpacked = unpack_images(whole, settings)
    assert {one.name: blob_path(one.sha256, settings).read_bytes() for one in unpacked} == contents
    assert labels_of(unpacked) == list(contents)
    assert [one.bytes for one in unpacked] == [len(content) for content in contents.values()]
    assert unpacked[0].sha256 == hashlib.sha256(contents["z.png"]).hexdigest()


class _Pipe(io.RawIOBase):
    """A file that can only be written from beginning to end."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, piece: object) -> int:
        return self._target.write(piece)  # type: ignore[arg-type]


def test_an_upload_that_lies_on_the_disk_is_read_like_one_in_memory(settings: Settings) -> None:
    """The API holds an upload in a file that moves to the disk when it grows."""
    with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
        spooled.write(make_zip([Member(b"a.png", b"one")]).getvalue())
        assert labels_of(unpack_images(spooled, settings)) == ["a.png"]


@pytest.mark.parametrize("beyond", [-1, 0, 1, 21, 100, 243, 244])
def test_the_last_bytes_come_out_where_a_piece_ends_just_before_them(settings: Settings, beyond: int) -> None:
    """All packed bytes are read by then, and the last unpacked bytes wait in the decompressor."""
    content = bytes(_PIECE + beyond)
    (one,) = unpack_images(make_zip([Member(b"a.png", content)]), settings)
    assert blob_path(one.sha256, settings).read_bytes() == content


def test_only_images_are_taken(settings: Settings) -> None:
    """Folders, hidden files, the notes of macOS, links, other zips and texts are left out."""
    left_out = [b"folder.png/", b"back\\slash.png\\", b".hidden.png", b".git/a.png", b"a/.b/c.png", b"__MACOSX/._a.png"]
    left_out += [b"__MACOSX/a.png", b"inner.zip", b"read.me", b"png", b"..", b"", b"/", b"a.png\0.exe"]
    members = [Member(name, make_zip([Member(b"deep.png", b"deep")]).getvalue()) for name in left_out]
    members += [Member(b"link.png", b"/etc/passwd", mode=SYMLINK), Member(b"a.png", b"one", mode=0o100644)]
    # Errors of files that are left out do not matter.
    members.append(Member(b"secret.txt", b"", flags=1, size=1 << 31, method=99))
    assert labels_of(unpack_images(make_zip(members), settings)) == ["a.png"]
    assert len(files_below(settings.blob_dir)) == 1


def test_an_entry_with_another_checksum_is_refused(settings: Settings) -> None:
    """The image would differ from the image that was packed."""
    refused(make_zip([Member(b"a.png", b"one", crc=1)]), settings, ArchiveError, r"a\.png is damaged")


def test_a_second_image_that_is_damaged_leaves_the_first_to_the_sweep(settings: Settings) -> None:
    """Nothing half written is left."""
    with pytest.raises(ArchiveError, match=r"b\.png is damaged"):
        unpack_images(make_zip([Member(b"a.png", b"one"), Member(b"b.png", b"two", crc=1)]), settings)
    assert files_below(settings.blob_dir) == [blob_path(hashlib.sha256(b"one").hexdigest(), settings)]


@pytest.mark.parametrize(("flags", "method"), [(1, 8), (0x41, 8), (0x2001, 0), (0, 99)])
def test_an_encrypted_image_is_refused(settings: Settings, flags: int, method: int) -> None:
    """The message names the way out."""
    refused(make_zip([Member(b"a.png", b"one", method, flags)]), settings, ArchiveError, "without a password")


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 0xFFFF])
def test_other_methods_than_deflate_are_refused(settings: Settings, method: int) -> None:
    """bzip2 and lzma pack a million to one."""
    refused(make_zip([Member(b"a.png", b"one", method)]), settings, ArchiveError, f"by method {method}")


def test_a_zip_without_an_image_is_refused(settings: Settings) -> None:
    """Tried with an empty zip, and with a zip of other files."""
    for members in ([], [Member(b"a.txt", b"one")]):
        refused(make_zip(members), settings, ArchiveError, "no image")
