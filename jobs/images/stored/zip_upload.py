"""The images of a zip, as blobs. The names of its entries become labels; no file is ever written by such a name.

The zip's directory is checked before anything is unpacked: the number of files, their sizes, how tightly they are packed, and
that no two share bytes. Then each entry must unpack to just the size and checksum of the directory, so that the checks hold.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from jobs.configuration.settings import Settings
from jobs.errors import ArchiveError, ImageTooLargeError, UploadTooLargeError
from jobs.images.stored.blobs import put_blob
from jobs.images.stored.safe_names import clean_label, clean_parts, make_distinct
from jobs.images.stored.zip_directory import Directory, Entry, data_start, find_directory, read_entries
from jobs.images.walking.folder_walk import is_image_name

_STORED, _DEFLATED = 0, 8
#: The method of entries that are encrypted with AES.
_AES = 99
#: Flags of entries that are encrypted, strongly encrypted, or have a masked header.
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
#: Maximum unpacked bytes for each packed byte, beyond so many bytes: more is a bomb. Deflate can pack 1032 bytes into one.
MAX_RATIO = 200
RATIO_FREE_BYTES = 10_000_000
#: Entries for each file of the limit: Finder adds a `__MACOSX/._a.jpg` to each file, and folders are entries too.
ENTRIES_PER_FILE = 4
#: The folder of macOS' own notes.
_NOTES = "__MACOSX"
#: Bytes that are read, and unpacked, at a time.
_PIECE = 1 << 18


@dataclass(frozen=True)
class UnpackedImage:
    """An image that is a blob now: its label within the zip, its SHA-256 and its size in bytes."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class _Placed:
    """An entry, and the beginning and end of its bytes in the archive."""

    entry: Entry
    start: int

    @property
    def end(self) -> int:
        return self.start + self.entry.packed


def unpack_images(archive: IO[bytes], settings: Settings, taken: Sequence[UnpackedImage] = ()) -> list[UnpackedImage]:
    """Store every image of the zip as a blob, and list the images in the zip's order.

    Folders, hidden files and files without an image's extension are left out; no image is opened. Images of the same upload that
    were stored before (`taken`) count towards the limits: many zips may hold no more than one zip. Raises ArchiveError, and
    UploadTooLargeError for too many files or bytes. The sweep removes blobs that an error leaves behind.
    """
    directory = find_directory(archive)
    entries = _images(archive, directory, settings, settings.max_upload_files - len(taken))
    for entry in entries:
        _check_entry(entry, settings)
    _check_sum(entries, directory.archive_bytes, settings, sum(image.bytes for image in taken))
    placed = [_Placed(entry, data_start(archive, entry)) for entry in entries]
    _check_apart(placed, directory.start)
    unpacked: list[UnpackedImage] = []
    for name, one in zip(make_distinct(entry.name for entry in entries), placed, strict=True):
        pieces = _content(archive, one)
        sha256, size = put_blob(pieces, settings, most=settings.max_image_bytes, too_large=ImageTooLargeError)
        unpacked.append(UnpackedImage(name, sha256, size))
    return unpacked


def too_many_files(settings: Settings) -> UploadTooLargeError:
    """Make the error for an upload with too many files, in one zip or several."""
    return UploadTooLargeError(
        f"The upload has more than {settings.max_upload_files} images (CAPTIONQ_MAX_UPLOAD_FILES). "
        "Send several smaller ones."
    )


def _images(archive: IO[bytes], directory: Directory, settings: Settings, most: int) -> list[Entry]:
    """List the entries that are images, with labels for names."""
    images: list[Entry] = []
    for entry in read_entries(archive, directory, settings.max_upload_files * ENTRIES_PER_FILE):
        if not _is_image(entry):
            continue
        if len(images) == most:
            raise too_many_files(settings)
        images.append(replace(entry, name=clean_label(entry.name)))
    if not images:
        raise ArchiveError("The zip has no images: no file ends with .jpg, .png, .webp, .heic or the like.")
    return images


def _is_image(entry: Entry) -> bool:
    # The bytes of a link are the path of its target.
    if entry.name.endswith(("/", "\\")) or stat.S_ISLNK(entry.mode):
        return False
    parts = clean_parts(entry.name)
    hidden = any(part.startswith(".") or part == _NOTES for part in parts)
    return bool(parts) and not hidden and is_image_name(parts[-1])


def _check_entry(entry: Entry, settings: Settings) -> None:
    if entry.flags & _ENCRYPTED or entry.method == _AES:
        raise ArchiveError(f"{entry.name} is encrypted. Make the zip without a password.")
    if entry.method not in (_STORED, _DEFLATED):
        raise ArchiveError(
            f"{entry.name} is packed by method {entry.method}, which is not supported. Make the zip with deflate."
        )
    if entry.size > settings.max_image_bytes:
        raise UploadTooLargeError(
            f"{entry.name} has {entry.size / 1e6:.0f} MB; the limit is {settings.max_image_bytes / 1e6:.0f} MB "
            "(CAPTIONQ_MAX_IMAGE_BYTES)."
        )
    if entry.size > RATIO_FREE_BYTES and entry.size > MAX_RATIO * entry.packed:
        raise ArchiveError(
            f"{entry.name} is packed more than {MAX_RATIO} to 1, which no picture is. Send the image itself."
        )


def _check_sum(entries: Sequence[Entry], archive_bytes: int, settings: Settings, taken: int) -> None:
    """Check all entries together. `taken`: bytes of the same upload that were stored before."""
    size = sum(entry.size for entry in entries)
    if taken + size > settings.max_upload_bytes:
        raise UploadTooLargeError(
            f"The upload unpacks to {(taken + size) / 1e6:.0f} MB; the limit is {settings.max_upload_bytes / 1e6:.0f} MB "
            "(CAPTIONQ_MAX_UPLOAD_BYTES). Send several smaller ones."
        )
    # Many small entries can be a bomb together.
    if size > RATIO_FREE_BYTES and size > MAX_RATIO * archive_bytes:
        raise ArchiveError(
            f"The zip is packed more than {MAX_RATIO} to 1, which no pictures are. Send the images themselves."
        )


def _check_apart(placed: Sequence[_Placed], directory_start: int) -> None:
    """Check that no two entries share bytes: a bomb would unpack the same few megabytes for each of thousands of entries."""
    in_place = sorted(placed, key=lambda one: one.entry.offset)
    following = [one.entry.offset for one in in_place[1:]] + [directory_start]
    for one, next_offset in zip(in_place, following, strict=True):
        if one.end > next_offset:
            raise ArchiveError(f"{one.entry.name} shares bytes with the next part of the zip. Make a new zip.")


def _content(archive: IO[bytes], placed: _Placed) -> Iterator[bytes]:
    """Yield the unpacked entry in pieces. Raises ArchiveError unless size and checksum are those of the directory."""
    entry, size, crc = placed.entry, 0, 0
    packed = _packed(archive, placed)
    try:
        for piece in packed if entry.method == _STORED else _inflated(packed):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            # Before the piece is handed on: no byte is written beyond the size that was checked.
            if size > entry.size:
                break
            yield piece
    except zlib.error:
        size = -1
    if size != entry.size or crc != entry.crc:
        raise ArchiveError(f"{entry.name} is damaged in the zip. Make a new zip, or send the image itself.")


def _packed(archive: IO[bytes], placed: _Placed) -> Iterator[bytes]:
    position = placed.start
    while position < placed.end:
        archive.seek(position)
        piece = archive.read(min(_PIECE, placed.end - position))
        if not piece:
            return
        position += len(piece)
        yield piece


def _inflated(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack by deflate. Raises zlib.error, also when the end is missing."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in packed:
        rest = piece
        while rest and not stream.eof:
            yield stream.decompress(rest, _PIECE)
            rest = stream.unconsumed_tail
    # A few bytes may wait in the stream although all packed bytes were read.
    yield stream.flush()
    if not stream.eof:
        raise zlib.error
