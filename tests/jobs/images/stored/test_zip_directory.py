"""The directory of a zip: read if it is well formed, and refused if it is damaged or forged."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.configuration.settings import Settings
from jobs.errors import ArchiveError, CaptionqError, UploadTooLargeError
from jobs.images.stored.blobs import blob_path
from jobs.images.stored.zip_upload import unpack_images
from tests.support.unpacking import files_below, labels_of, refused
from tests.support.zips import STORED, Member, make_zip

pytestmark = pytest.mark.usefixtures("nothing_half_written")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        b"PK\5\6",
        b"PK\3\4" * 30,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        struct.pack("<4s4H2LH", b"PK\5\6", 0, *(9,) * 6),
    ],
)
def test_what_is_no_zip_is_refused(settings: Settings, content: bytes) -> None:
    """Tried with other kinds of files."""
    refused(io.BytesIO(content), settings, ArchiveError, "not a zip, or is damaged")


def test_a_zip_that_is_cut_off_anywhere_is_refused(settings: Settings) -> None:
    """It may be cut at its end, or at its beginning, so that the offsets lead before the file."""
    whole = make_zip([Member(b"a.png", b"one"), Member(b"b.png", b"two")]).getvalue()
    for cut in range(1, len(whole)):
        refused(io.BytesIO(whole[:-cut]), settings, ArchiveError)
        refused(io.BytesIO(whole[cut:]), settings, ArchiveError)


@pytest.mark.parametrize("magic", [b"PK\1\2", b"PK\3\4", b"PK\5\6"])
def test_a_record_that_is_none_is_refused(settings: Settings, magic: bytes) -> None:
    """Tried with the records of the directory, of an entry and of the end."""
    whole = make_zip([Member(b"a.png", b"one")]).getvalue()
    refused(io.BytesIO(whole.replace(magic, b"KP??")), settings, ArchiveError, "not a zip, or is damaged")


def test_an_entry_that_goes_on_behind_the_directory_is_refused(settings: Settings) -> None:
    """The length of its comment says so."""
    whole = bytearray(make_zip([Member(b"a.png", b"one")]).getvalue())
    whole[whole.index(b"PK\1\2") + 32] = 1
    refused(io.BytesIO(whole), settings, ArchiveError, "not a zip, or is damaged")


def test_a_comment_and_a_program_in_front_are_passed_over(settings: Settings) -> None:
    """All programs do so."""
    archive = make_zip([Member(b"a.png", b"one")], before=b"#!/bin/sh\n" * 9, comment=b"PK" * 30_000)
    assert labels_of(unpack_images(archive, settings)) == ["a.png"]


def test_a_zip64_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One zip64 is made by Python's module with a lowered limit of entries, another by hand."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in "abc":
            with archive.open(f"{name}.png", "w", force_zip64=True) as file:
                file.write(name.encode())
    assert b"PK\6\6" in whole.getvalue()
    assert labels_of(unpack_images(whole, settings)) == ["a.png", "b.png", "c.png"]
    by_hand = make_zip([Member(b"x.png", b"one"), Member(b"a.png", b"two", large=True)])
    assert [one.bytes for one in unpack_images(by_hand, settings)] == [3, 3]


@pytest.mark.parametrize("number", [0xFFFF_FFFF, 1 << 40, (1 << 64) - 1])
def test_enormous_numbers_are_refused(settings: Settings, number: int) -> None:
    """Tried in each field; some numbers are beyond any possible position in a file."""
    huge = struct.pack("<Q", number)
    whole = make_zip([Member(b"a.png", bytes(77), method=STORED, large=True)]).getvalue()
    field = whole.rindex(struct.pack("<2Q", 77, 77))
    for position in (field, field + 8, field + 16):
        lying = whole[:position] + huge + whole[position + 8 :]
        with pytest.raises((ArchiveError, UploadTooLargeError)):
            unpack_images(io.BytesIO(lying), settings)
    assert not files_below(settings.blob_dir)


def mutations() -> st.SearchStrategy[bytes]:
    """Make a good zip with some of its bytes changed, cut or doubled."""
    good = make_zip(
        [
            Member(b"trip/a.png", b"one" * 50),
            Member(b"b.jpg", b"two", method=STORED),
            Member(b"c.gif", b"three", large=True),
            Member(b"__MACOSX/._c.gif", b"four"),
        ],
        comment=b"comment",
    ).getvalue()
    pieces = st.binary(max_size=8) | st.sampled_from(
        [b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"PK\1\2", b"PK\6\7", b"\0" * 8]
    )
    change = st.tuples(st.integers(0, len(good)), st.integers(0, 12), pieces)

    def changed(changes: list[tuple[int, int, bytes]]) -> bytes:
        content = good
        for position, length, piece in changes:
            content = content[:position] + piece + content[position + length :]
        return content

    overwritten = st.tuples(st.integers(0, len(good)), pieces).map(lambda one: (one[0], len(one[1]), one[1]))
    return st.lists(overwritten, min_size=1, max_size=4).map(changed) | st.lists(change, max_size=3).map(changed)


@given(
    mutations() | st.binary(max_size=200) | st.binary(max_size=60).map(lambda content: content + b"PK\5\6" + bytes(18))
)
@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_never_raises_anything_but_a_typed_error(settings: Settings, content: bytes) -> None:
    """All images that come out are stored as the zip describes them."""
    with contextlib.suppress(CaptionqError):
        for one in unpack_images(io.BytesIO(content), settings):
            kept = blob_path(one.sha256, settings).read_bytes()
            assert (len(kept), hashlib.sha256(kept).hexdigest()) == (one.bytes, one.sha256)
    assert not list(settings.blob_dir.glob("new-*"))
