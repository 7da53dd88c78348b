"""The colour profile of a GIF: an application extension called ICCRGBG1 (ICC.1:2022, B.4), which Pillow does not read."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

_SCREEN, _EXTENSION, _APPLICATION = 13, 0x21, 0xFF
_NAME = b"ICCRGBG1012"
#: Maximum number of extensions in front of the first picture that are looked at.
_MAX_EXTENSIONS = 100


def gif_profile(image: Image.Image) -> bytes | None:
    """Return the profile of an opened GIF; None if it has none in front of its first picture."""
    file: BinaryIO | None = getattr(image, "fp", None)
    if file is None:
        return None
    position = file.tell()
    file.seek(0)
    screen = file.read(_SCREEN)
    if screen[10] & 0x80:
        # The colours of the whole file.
        file.seek(3 << (screen[10] & 7) + 1, 1)
    profile = _profile(file)
    file.seek(position)
    return profile


def _profile(file: BinaryIO) -> bytes | None:
    for _ in range(_MAX_EXTENSIONS):
        head = file.read(3)
        if len(head) < 3 or head[0] != _EXTENSION:
            return None
        name = file.read(head[2])
        content = _blocks(file)
        if head[1] == _APPLICATION and name == _NAME:
            return content
    return None


def _blocks(file: BinaryIO) -> bytes:
    """Read blocks of at most 255 bytes, each behind its length, up to an empty one."""
    content = bytearray()
    while length := file.read(1)[:1]:
        if length == b"\0":
            break
        content += file.read(length[0])
    return bytes(content)
