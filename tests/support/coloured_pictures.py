"""Profiles and chunks of pictures whose stored values are not sRGB."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from worker.pixels.colour.matrix_profile import D65, SRGB_PRIMARIES, matrix_profile, power_curve

#: Profiles of RGB by the name of their space. `swapped` has red, green and blue in another order.
PRIMARIES = {
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65),
    "swapped": (*SRGB_PRIMARIES[1:3], SRGB_PRIMARIES[0], D65),
}

#: The bits that differ between signed and unsigned Lab.
SIGNS = np.array([0, 128, 128], np.uint8)


def rgb_profile(name: str, gamma: float = 2.2) -> bytes:
    """Return an RGB profile of one of `PRIMARIES`."""
    profile = matrix_profile(PRIMARIES[name], power_curve(gamma))
    assert profile is not None
    return profile


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey pixels with this gamma."""
    curve = struct.pack(">4sIIHH", b"curv", 0, 1, round(gamma * 256), 0)
    return _profile(b"mntrGRAYXYZ ", {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Return a profile of a printer whose cyan and magenta inks are exchanged: a table of two steps an ink (ICC.1, 10.10)."""
    steps = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    shown = bytes(255 * (1 - ink) * (1 - k) for c, m, y, k in steps for ink in (m, c, y))
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    # Pillow's LAB is signed, the table's is not.
    table = bytes(
        np.frombuffer(lab.apply(Image.frombytes("RGB", (16, 1), shown)).tobytes(), np.uint8) ^ np.tile(SIGNS, 16)
    )
    ramp = bytes(range(256))
    one = 65536
    head = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, one, 0, 0, 0, one, 0, 0, 0, one)
    return _profile(b"prtrCMYKLab ", {b"A2B0": head + ramp * 4 + table + ramp * 3})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile (ICC.1, 7). `space`: the signatures of its class, its pixels and its connection space."""
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    head = bytearray(rgb_profile("swapped")[:128])
    head[0:4], head[8:12], head[12:24] = struct.pack(">I", start + len(data)), b"\x02\x40\0\0", space
    return bytes(head) + table + data


def png_with(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG with more chunks in front of its pixels."""
    file = io.BytesIO()
    image.save(file, "PNG")
    content = file.getvalue()
    added = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return content[:33] + added + content[33:]


def avif_with(image: Image.Image, kind: bytes, content: bytes) -> bytes:
    """Return an AVIF whose picture has one more property (ISO/IEC 23008-12, 9.3)."""
    file = io.BytesIO()
    image.save(file, "AVIF", quality=95, subsampling="4:4:4")
    data = file.getvalue()
    added = _box(kind, content)
    media = data.index(b"mdat") + 4
    ipco, ipma = data.index(b"ipco") + 4, data.index(b"ipma") + 4
    ipco_end = ipco - 8 + int.from_bytes(data[ipco - 8 : ipco - 4])
    ipma_end = ipma - 8 + int.from_bytes(data[ipma - 8 : ipma - 4])
    properties, associations = data[ipco:ipco_end] + added, bytearray(data[ipma:ipma_end])
    # One item: version and flags (4), number of items (4), the item (2), number of its properties (1), their numbers.
    associations[10] += 1
    # The essential bit; a decoder that knows no crop must refuse the file.
    associations.append(0x80 | _count_boxes(properties))
    iprp = _box(b"iprp", _box(b"ipco", properties) + _box(b"ipma", bytes(associations)))
    start = ipco - 16
    meta = data.index(b"meta") + 4
    rest = data[meta:start], data[ipma_end : media - 8]
    moved = len(iprp) - (ipma_end - start)
    body = (rest[0] + iprp + rest[1]).replace(struct.pack(">I", media), struct.pack(">I", media + moved))
    return data[: meta - 8] + _box(b"meta", body) + data[media - 8 :]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _count_boxes(content: bytes) -> int:
    count = position = 0
    while position < len(content):
        count, position = count + 1, position + int.from_bytes(content[position : position + 4])
    return count
