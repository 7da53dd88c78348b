"""Zips that no program makes: every field of every entry can be false."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
SYMLINK = 0o120777


@dataclass
class Member:
    """An entry of a zip. None in a field: the true value."""

    name: bytes
    content: bytes = b""
    method: int = DEFLATED
    flags: int = 0
    mode: int = 0
    #: The values in the directory.
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    #: The number of another entry, whose header and bytes the directory claims for this one.
    shares: int | None = None
    #: The two sizes and the offset are in the zip64 field.
    large: bool = False


def make_zip(members: list[Member], *, before: bytes = b"", comment: bytes = b"") -> io.BytesIO:
    """Return a zip of these entries after the bytes `before`, which its offsets do not count."""
    body, directory = bytearray(), bytearray()
    offsets: list[int] = []
    for member in members:
        packed = _packed(member)
        offsets.append(len(body) if member.shares is None else offsets[member.shares])
        if member.shares is None:
            fields = (20, member.flags, member.method, 0, 0, zlib.crc32(member.content), len(packed))
            body += struct.pack("<4s5H3L2H", b"PK\3\4", *fields, len(member.content), len(member.name), 0)
            body += member.name + packed
        directory += _entry(member, len(packed), offsets[-1])
    counts = (min(len(members), 0xFFFF),) * 2
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, len(directory), len(body), len(comment))
    return io.BytesIO(before + bytes(body + directory) + end + comment)


def _packed(member: Member) -> bytes:
    if member.method != DEFLATED:
        return member.content
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(member.content) + packer.flush()


def _entry(member: Member, packed: int, offset: int) -> bytes:
    crc = zlib.crc32(member.content) if member.crc is None else member.crc
    packed = packed if member.packed is None else member.packed
    size = len(member.content) if member.size is None else member.size
    extra = b""
    if member.large:
        # A field of another kind comes first: readers must skip it.
        extra = struct.pack("<2HL2H3Q", 0x5455, 4, 1, 1, 24, size, packed, offset)
        size = packed = offset = 0xFFFF_FFFF
    fields = (20, 20, member.flags, member.method, 0, 0, crc, packed, size, len(member.name), len(extra), 0, 0, 0)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields, member.mode << 16, offset) + member.name + extra
