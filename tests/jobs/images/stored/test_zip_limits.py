"""Zips that are too large, too many or too tightly packed: refused before they are unpacked."""

from __future__ import annotations

import contextlib
import io
import os

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ArchiveError, UploadTooLargeError
from jobs.images.stored.zip_directory import data_start, find_directory, read_entries
from jobs.images.stored.zip_upload import _content, _Placed, unpack_images
from tests.support.unpacking import files_below, limited, refused
from tests.support.zips import DEFLATED, STORED, Member, make_zip

pytestmark = pytest.mark.usefixtures("nothing_half_written")

#: More bytes than the size from which the ratio counts.
ZEROS = bytes(10_000_001)


def test_a_small_zip_that_unpacks_to_much_is_refused(settings: Settings) -> None:
    """1000 to 1 is refused; up to 10 MB the ratio does not count, for a picture of one colour may be packed like that."""
    refused(make_zip([Member(b"a.bmp", ZEROS)]), settings, ArchiveError, r"a\.bmp is packed more than 200 to 1")
    assert unpack_images(make_zip([Member(b"a.bmp", ZEROS[:-1])]), settings)[0].bytes == 10_000_000


def test_many_entries_that_are_a_bomb_together_are_refused(settings: Settings) -> None:
    """None of the entries is large."""
    members = [Member(b"a.bmp", ZEROS[:4_000_000]) for _ in range(3)]
    refused(make_zip(members), settings, ArchiveError, "The zip is packed more than 200 to 1")


@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("size", [0, 1, 999, 1001, 1 << 20])
def test_an_entry_that_is_not_as_large_as_it_says_is_refused(settings: Settings, method: int, size: int) -> None:
    """Nothing of the entry is stored: only the directory's sizes were checked."""
    archive = make_zip([Member(b"a.png", bytes(1000), method=method, size=size)])
    refused(archive, settings, ArchiveError, r"a\.png is damaged")


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_no_more_is_written_than_an_entry_says(method: int) -> None:
    """A bomb whose directory says a megabyte is stopped after a megabyte."""
    archive = make_zip([Member(b"a.png", ZEROS, method=method, size=1 << 20)])
    (entry,) = read_entries(archive, find_directory(archive), 1)
    written = 0
    with contextlib.suppress(ArchiveError):
        for piece in _content(archive, _Placed(entry, data_start(archive, entry))):
            written += len(piece)
    assert written <= 1 << 20


def test_what_is_too_large_is_refused_before_it_is_unpacked(settings: Settings) -> None:
    """The limit holds for one image and for all; up to the limit images are taken."""
    archive = make_zip([Member(b"a.png", os.urandom(1000)), Member(b"b.png", os.urandom(1000))])
    small = limited(settings, max_image_bytes=999)
    refused(archive, small, UploadTooLargeError, r"a\.png has .* \(CAPTIONQ_MAX_IMAGE_BYTES\)")
    small = limited(settings, max_upload_bytes=1999)
    refused(archive, small, UploadTooLargeError, r"The upload unpacks to .* \(CAPTIONQ_MAX_UPLOAD_BYTES\)")
    assert UploadTooLargeError.status == 413
    assert len(unpack_images(archive, limited(settings, max_image_bytes=1000, max_upload_bytes=2000))) == 2


def test_twenty_thousand_images_are_taken_and_one_more_is_not(settings: Settings) -> None:
    """The directory's entries are counted, and the count at its end is ignored; only images count."""
    limit = settings.max_upload_files
    assert limit == 20_000
    one = Member(b"a.png", b"one", method=STORED)
    notes = [Member(b"__MACOSX/._a.png", method=STORED)] * limit
    # Shared bytes are found behind the count: that is how the one zip is seen to have passed it.
    shared = [one, *[Member(b"a.png", b"one", method=STORED, shares=0)] * (limit - 1)]
    refused(make_zip(shared + notes), settings, ArchiveError, "shares bytes")
    refused(make_zip([*shared, one]), settings, UploadTooLargeError, "more than 20000 images")
    small = limited(settings, max_upload_files=3)
    refused(make_zip([*notes[:12], one]), small, UploadTooLargeError, "more than 12 entries")
    assert len(unpack_images(make_zip([*notes[:9], one, one, one]), small)) == 3


def test_several_zips_share_the_limits_of_their_upload(settings: Settings) -> None:
    """The second zip has only the rest of the limits, in files and bytes, and nothing of it is unpacked."""
    archive = make_zip([Member(b"a.png", b"one"), Member(b"b.png", b"three")])
    small = limited(settings, max_upload_files=4, max_upload_bytes=16)
    first = unpack_images(archive, small)
    both = first + unpack_images(archive, small, first)
    kept = files_below(settings.blob_dir)
    new = make_zip([Member(b"c.png", b"x")])
    for limits, match in (({"max_upload_files": 4}, "more than 4 images"), ({"max_upload_bytes": 16}, "unpacks to")):
        with pytest.raises(UploadTooLargeError, match=match):
            unpack_images(new, limited(settings, **limits), both)
    assert files_below(settings.blob_dir) == kept
    assert len(unpack_images(new, settings, both)) == 1


def test_an_endless_directory_is_not_read_to_its_end(settings: Settings) -> None:
    """The directory would fill the memory."""
    archive = make_zip([Member(b"a.txt")] * 100_000)
    reads = 0

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    refused(Counting(archive.getvalue()), limited(settings, max_upload_files=10), UploadTooLargeError, "more than 40")
    assert reads < 200


def test_entries_that_share_their_bytes_are_refused(settings: Settings) -> None:
    """All entries point to one, or each contains the header of the next (Fifield's bomb)."""
    same = [Member(b"a.png", b"one"), Member(b"a.png", b"one", shares=0)]
    refused(make_zip(same), settings, ArchiveError, "shares bytes")
    nested = [Member(b"a.png", b"x" * 100, method=STORED, packed=101, size=101), Member(b"b.png", b"one")]
    refused(make_zip(nested), settings, ArchiveError, r"a\.png shares bytes")
    into_directory = [Member(b"a.png", b"x" * 100, method=STORED, packed=101, size=101)]
    refused(make_zip(into_directory), settings, ArchiveError, r"a\.png shares bytes")
