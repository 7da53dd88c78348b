"""Recognizing and opening containers: RAW photographs, PDFs and videos."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from PIL import Image

from jobs.errors import UnsupportedImageError
from jobs.errors.install_commands import command_for_extra
from jobs.images.formats.container_kinds import KINDS

#: The first bytes of kinds that are not TIFFs: Canon (CR3, CRW, CR2), Fujifilm, Olympus, Panasonic, Minolta, Sigma.
_RAW = re.compile(rb".{4}ftypcrx |.{6}HEAPCCDR|II\*\0.{4}CR|FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|\0MRM|FOVb", re.DOTALL)
_PDF = re.compile(rb".{0,50}%PDF-", re.DOTALL)
#: ISO base media and QuickTime, Matroska, AVI, MPEG program streams, Windows Media.
_VIDEO = re.compile(
    rb".{4}(ftyp|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\1\xba|\x30\x26\xb2\x75\x8e\x66\xcf\x11", re.DOTALL
)
#: MPEG transport streams: a packet of 188 bytes begins with this byte, after four bytes of time in the files of cameras.
_SYNC, _PACKETS = 0x47, ((0, 188), (4, 192))
_SUB_IFDS, _PHOTOMETRIC, _DNG_VERSION = 330, 262, 50706
#: Photometric interpretations of a sensor's unprocessed values.
_CAMERA_RAW = (32803, 34892)
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I"}
_MOST_SUB_IFDS = 16


class Container(Image.Image):
    """An opened container. `worker.pixels.frames` decodes its pictures, and checks their size before."""

    #: Its decoder runs in a process of its own; see `cost_of`.
    decoded_bytes = 0

    def __init__(self, kind: str, file: BinaryIO) -> None:
        super().__init__()
        self.format = kind
        self.file = file


def container_kind(file: BinaryIO, beginning: bytes) -> str | None:
    """Return the kind of container that a file is, by its first bytes and, if it is a TIFF, by its tags; None: it is none."""
    if _RAW.match(beginning) or (beginning[:4] in (b"II*\0", b"MM\0*") and _is_camera_raw(file)):
        return "RAW"
    if _PDF.match(beginning):
        return "PDF"
    if _VIDEO.match(beginning) or _is_transport_stream(file):
        return "VIDEO"
    return None


def open_container(kind: str, file: BinaryIO, name: str) -> Container:
    """Open a container of this kind. Raises UnsupportedImageError if its extra is not installed."""
    if not KINDS[kind].is_installed:
        raise UnsupportedImageError(
            f"{name} is a {KINDS[kind].words[0]}. To read it: {command_for_extra(KINDS[kind].extra)}"
        )
    return Container(kind, file)


def _is_transport_stream(file: BinaryIO) -> bool:
    file.seek(0)
    beginning = file.read(3 * _PACKETS[-1][1])
    file.seek(0)
    return any(
        len(beginning) > start + 2 * size and all(beginning[start + number * size] == _SYNC for number in range(3))
        for start, size in _PACKETS
    )


def _is_camera_raw(file: BinaryIO) -> bool:
    """Check whether a TIFF is a DNG, or has a sensor's values below its first page, as the files of most cameras do."""
    try:
        file.seek(0)
        order = "<" if file.read(4)[:2] == b"II" else ">"
        (first,) = struct.unpack(f"{order}I", file.read(4))
        tags = _tags(file, order, first)
        below = [_tags(file, order, offset) for offset in tags.get(_SUB_IFDS, ())[:_MOST_SUB_IFDS]]
    except (struct.error, OSError, OverflowError):
        return False
    finally:
        file.seek(0)
    return _DNG_VERSION in tags or any(one.get(_PHOTOMETRIC, (0,))[0] in _CAMERA_RAW for one in below)


def _tags(file: BinaryIO, order: str, offset: int) -> dict[int, tuple[int, ...]]:
    """Read these tags of a directory of a TIFF."""
    file.seek(offset)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    found = {}
    for tag, kind, number, value in struct.iter_unpack(f"{order}HHI4s", file.read(12 * count)):
        if tag in (_SUB_IFDS, _PHOTOMETRIC, _DNG_VERSION) and kind in _TYPES and 0 < number <= _MOST_SUB_IFDS:
            values = f"{order}{number}{_TYPES[kind]}"
            size = struct.calcsize(values)
            if size > len(value):
                file.seek(struct.unpack(f"{order}I", value)[0])
                value = file.read(size)
            found[tag] = struct.unpack(values, value[:size])
    return found
