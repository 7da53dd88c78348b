"""Zips: every image comes out as it went in, under a harmless name, and no zip does harm."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.errors import ArchiveError, CaptionqError, UploadTooLargeError
from jobs.images.blobs import blob_path
from jobs.images.safe_names import MAX_LABEL, clean_label, make_distinct
from jobs.images.zip_directory import data_start, find_directory, read_entries
from jobs.images.zip_upload import _PIECE, UnpackedImage, _content, _Placed, unpack_images
from jobs.settings import Settings
from tests.support.zips import DEFLATED, STORED, SYMLINK, Member, make_zip

#: More bytes than the size from which the ratio counts.
ZEROS = bytes(10_000_001)


def files_below(folder: Path) -> list[Path]:
    """List all files below a folder, with any name."""
    return [path for path in folder.rglob("*") if path.is_file()]


def names_of(unpacked: list[UnpackedImage]) -> list[str]:
    """Return the labels of images."""
    return [one.name for one in unpacked]


def refused(archive: io.BytesIO, settings: Settings, error: type[CaptionqError], match: str | None = None) -> None:
    """Check that unpacking raises this error before anything is stored."""
    with pytest.raises(error, match=match) as raised:
        unpack_images(archive, settings)
    assert type(raised.value) is error
    assert "\n" not in raised.value.message
    assert not files_below(settings.blob_dir)


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
    assert names_of(unpacked) == list(contents)
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
        assert names_of(unpack_images(spooled, settings)) == ["a.png"]


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
    assert names_of(unpack_images(make_zip(members), settings)) == ["a.png"]
    assert len(files_below(settings.blob_dir)) == 1


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"../../etc/cron.d/a.png", "etc/cron.d/a.png"),
        (b"/etc/a.png", "etc/a.png"),
        (b"..\\..\\Windows\\a.png", "Windows/a.png"),
        (b"C:\\Users\\a.png", "Users/a.png"),
        (b"c:a.png", "a.png"),
        (b"\\\\host\\share\\a.png", "host/share/a.png"),
        (b"./a/././/b.png", "a/b.png"),
        (b"a/ .. /b.png", "a/b.png"),
        (b"line\nbreak\x1b[31m.png", "line�break�[31m.png"),
        ("turned\u202egnp.png".encode(), "turned�gnp.png"),
        ("Überall/café 10.00\u202fPM.png".encode(), "Überall/café 10.00\u202fPM.png"),
        (b"caf\x82.png", "café.png"),
        (b"\xff" * 10 + b".png", "\xa0" * 10 + ".png"),
    ],
)
def test_a_name_becomes_a_harmless_label(settings: Settings, name: bytes, label: str) -> None:
    """Nothing is written except blobs."""
    around = set(files_below(settings.data_dir.parent))
    (one,) = unpack_images(make_zip([Member(name, b"one")]), settings)
    assert one.name == label
    assert set(files_below(settings.data_dir.parent)) - around == {blob_path(one.sha256, settings)}


def test_a_name_that_is_no_utf8_although_it_says_so_is_still_a_name(settings: Settings) -> None:
    """Python's own module refuses the whole zip."""
    (one,) = unpack_images(make_zip([Member(b"a\xff\xfe.png", b"one", flags=0x0800)]), settings)
    assert one.name == "a��.png"


def test_an_overlong_name_keeps_its_end(settings: Settings) -> None:
    """The label still has an image's extension."""
    (one,) = unpack_images(make_zip([Member(b"folder/" * 9000 + b"x" * 300 + b".png", b"one")]), settings)
    assert one.name == "…" + "x" * (MAX_LABEL - 5) + ".png"


def test_duplicates_are_told_apart(settings: Settings) -> None:
    """Also from a name that looks like a numbered duplicate, and if only the cleaning made the names equal."""
    names = [b"a.png", b"a (2).png", b"a.png", b"/a.png", b"b/a.png", b"a.png"]
    members = [Member(name, bytes([number])) for number, name in enumerate(names)]
    unpacked = unpack_images(make_zip(members), settings)
    assert names_of(unpacked) == ["a.png", "a (2).png", "a (3).png", "a (4).png", "b/a.png", "a (5).png"]
    assert [blob_path(one.sha256, settings).read_bytes() for one in unpacked] == [bytes([n]) for n in range(6)]


@given(st.lists(st.sampled_from(["a.png", "a (2).png", "a (3).png", "a (2) (2).png", "b"]), max_size=12))
def test_labels_are_distinct_whatever_they_were(labels: list[str]) -> None:
    """The first of equal labels keeps its name."""
    distinct = make_distinct(labels)
    assert len(set(distinct)) == len(labels)
    assert distinct[:1] == labels[:1]


@given(
    st.text(st.characters(), max_size=400)
    | st.lists(st.sampled_from(["..", "/", "\\", "a", ":", "\0", " "])).map("".join)
)
def test_a_label_leads_nowhere_and_can_be_shown(name: str) -> None:
    """This holds for any name; and the label of a label is the same."""
    label = clean_label(name)
    assert label.encode()
    assert 0 < len(label) <= MAX_LABEL
    assert not label.startswith("/")
    assert not {"..", ".", ""} & set(label.split("/"))
    assert not any(ord(character) < 32 or character == "\\" for character in label)


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


def test_an_entry_with_another_checksum_is_refused(settings: Settings) -> None:
    """The image would differ from the image that was packed."""
    refused(make_zip([Member(b"a.png", b"one", crc=1)]), settings, ArchiveError, r"a\.png is damaged")


def test_a_second_image_that_is_damaged_leaves_the_first_to_the_sweep(settings: Settings) -> None:
    """Nothing half written is left."""
    with pytest.raises(ArchiveError, match=r"b\.png is damaged"):
        unpack_images(make_zip([Member(b"a.png", b"one"), Member(b"b.png", b"two", crc=1)]), settings)
    assert files_below(settings.blob_dir) == [blob_path(hashlib.sha256(b"one").hexdigest(), settings)]


def limited(settings: Settings, **limits: int) -> Settings:
    """Return the settings with other limits."""
    return settings.model_copy(update=limits)


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
    assert names_of(unpack_images(archive, settings)) == ["a.png"]


def test_a_zip64_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One zip64 is made by Python's module with a lowered limit of entries, another by hand."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in "abc":
            with archive.open(f"{name}.png", "w", force_zip64=True) as file:
                file.write(name.encode())
    assert b"PK\6\6" in whole.getvalue()
    assert names_of(unpack_images(whole, settings)) == ["a.png", "b.png", "c.png"]
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


@pytest.fixture(autouse=True)
def _nothing_half_written(settings: Settings) -> Iterator[None]:
    yield
    assert not list(settings.blob_dir.glob("new-*"))
