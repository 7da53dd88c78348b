"""The directory at the end of a zip, and the header before each entry's bytes.

`zipfile` is not used: it reads the whole directory into memory however large, fails at names that are not UTF-8, decodes the
names that macOS writes by another code page, and only its newest versions find entries that overlap.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from jobs.errors import ArchiveError, UploadTooLargeError

_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
#: The last field of the end record, the comment's length, has two bytes.
_LONGEST_COMMENT = 0xFFFF
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MAGIC = b"PK\x06\x07"
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_MAGIC = b"PK\x06\x06"
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_MAGIC = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
#: First bytes of a zip, and of an empty one.
ZIP_SIGNATURES = (_LOCAL_MAGIC, _END_MAGIC)
_ZIP64_FIELD = 0x0001
#: A number that does not fit into its four bytes is in the zip64 field instead.
_ELSEWHERE = 0xFFFF_FFFF
_UTF8 = 0x0800
_DAMAGED = "The file is not a zip, or is damaged. Send it again, or make a new zip."


@dataclass(frozen=True)
class Directory:
    """The place of the directory: offsets and sizes in bytes."""

    start: int
    size: int
    #: Bytes before the zip itself, such as a program that unpacks it: to be added to the entries' offsets.
    before: int
    #: Bytes of the whole archive.
    archive_bytes: int


@dataclass(frozen=True)
class Entry:
    """An entry as the directory describes it. None of the fields is known to be true."""

    name: str
    flags: int
    method: int
    crc: int
    #: Bytes in the archive, and bytes unpacked.
    packed: int
    size: int
    #: The beginning of the entry's header, in bytes from the beginning of the archive.
    offset: int
    #: The mode of Unix; 0 if the archive comes from another system.
    mode: int


def find_directory(archive: IO[bytes]) -> Directory:
    """Find the directory of a zip. Raises ArchiveError."""
    archive.seek(0, os.SEEK_END)
    length = archive.tell()
    tail_start = max(0, length - _END.size - _LONGEST_COMMENT)
    archive.seek(tail_start)
    tail = archive.read()
    found = tail.rfind(_END_MAGIC, 0, len(tail) - _END.size + len(_END_MAGIC))
    if found < 0 or len(tail) < _END.size:
        raise ArchiveError(_DAMAGED)
    end = tail_start + found
    _, disk, _, _, _, size, offset, _ = _END.unpack_from(tail, found)
    if large := _end_64(archive, end):
        end, size, offset = large
    elif disk:
        raise ArchiveError("The zip is one part of several. Make it again in one piece.")
    start = end - size
    if start < 0 or start < offset:
        raise ArchiveError(_DAMAGED)
    return Directory(start, size, before=start - offset, archive_bytes=length)


def _end_64(archive: IO[bytes], end: int) -> tuple[int, int, int] | None:
    """Return the end, the size and the offset of a zip64's directory; None: it is not a zip64."""
    start = end - _LOCATOR.size - _END_64.size
    if start < 0:
        return None
    archive.seek(start)
    both = archive.read(_END_64.size + _LOCATOR.size)
    if not both.startswith(_END_64_MAGIC) or both[_END_64.size :][:4] != _LOCATOR_MAGIC:
        return None
    *_, size, offset = _END_64.unpack_from(both)
    return start, size, offset


def read_entries(archive: IO[bytes], directory: Directory, most: int) -> Iterator[Entry]:
    """Yield the entries, reading one at a time. Raises ArchiveError, and UploadTooLargeError beyond `most` entries."""
    position, end = directory.start, directory.start + directory.size
    count = 0
    while position < end:
        count += 1
        if count > most:
            raise UploadTooLargeError(f"The zip has more than {most} entries. Send several smaller ones.")
        archive.seek(position)
        fixed = _exactly(archive, _ENTRY.size)
        *_, name_size, extra_size, comment_size, _, _, _, _ = _ENTRY.unpack(fixed)
        name, extra = _exactly(archive, name_size), _exactly(archive, extra_size)
        position += _ENTRY.size + name_size + extra_size + comment_size
        if not fixed.startswith(_ENTRY_MAGIC) or position > end:
            raise ArchiveError(_DAMAGED)
        entry = _as_entry(fixed, name, extra, directory.before)
        if entry.offset > directory.start:
            raise ArchiveError(_DAMAGED)
        yield entry


def _as_entry(fixed: bytes, name: bytes, extra: bytes, before: int) -> Entry:
    _, _, _, flags, method, _, _, crc, packed, size, *_, attributes, offset = _ENTRY.unpack(fixed)
    large = _zip64_numbers(extra)
    try:
        # In this order, and only the numbers that do not fit into their own fields.
        size = next(large) if size == _ELSEWHERE else size
        packed = next(large) if packed == _ELSEWHERE else packed
        offset = next(large) if offset == _ELSEWHERE else offset
    except StopIteration:
        raise ArchiveError(_DAMAGED) from None
    return Entry(
        name=_decoded(name, flags),
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        offset=before + offset,
        mode=attributes >> 16,
    )


def _zip64_numbers(extra: bytes) -> Iterator[int]:
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        position += 4
        if kind == _ZIP64_FIELD:
            field = extra[position : position + size]
            yield from (number for (number,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
        position += size


def _decoded(name: bytes, flags: int) -> str:
    """Decode a name. macOS writes UTF-8 without the flag for it; other names without the flag use the IBM PC's code page."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode(errors="replace") if flags & _UTF8 else name.decode("cp437")


def data_start(archive: IO[bytes], entry: Entry) -> int:
    """Return the offset of the entry's bytes, behind the entry's own header. Raises ArchiveError."""
    archive.seek(entry.offset)
    header = _exactly(archive, _LOCAL.size)
    if not header.startswith(_LOCAL_MAGIC):
        raise ArchiveError(_DAMAGED)
    *_, name_size, extra_size = _LOCAL.unpack(header)
    return entry.offset + _LOCAL.size + int(name_size) + int(extra_size)


def _exactly(archive: IO[bytes], size: int) -> bytes:
    found = archive.read(size)
    if len(found) < size:
        raise ArchiveError(_DAMAGED)
    return found
