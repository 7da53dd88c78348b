"""Images of every format with changed, missing, doubled and foreign bytes, by a seed."""

from __future__ import annotations

import io
import random
from functools import cache

import pillow_heif
from PIL import Image

from tests.support.scenes import draw

#: Formats, with the options of the files that are changed.
_FILES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGB", {}),
    ("PNG", "P", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "I;16", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("GIF", "P", {"save_all": True}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("HEIF", "RGB", {}),
    ("AVIF", "RGB", {}),
)
#: Numbers at the borders of what a field holds.
_BORDERS = tuple(
    value.to_bytes(size, order)
    for size in (1, 2, 4)
    for value in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("big", "little")
)


def mutated_image(seed: int) -> tuple[str, bytes]:
    """Return the image of this seed, and the suffix of its format: with one to eight changes, most of them in its head."""
    dice = random.Random(f"image {seed}")
    which = dice.randrange(len(_FILES))
    content = bytearray(_file(which))
    for _ in range(dice.choice((1, 1, 1, 2, 4, 8))):
        dice.choice(_CHANGES)(content, dice)
    return _FILES[which][0].lower(), bytes(content)


@cache
def _file(which: int) -> bytes:
    kind, mode, options = _FILES[which]
    pillow_heif.register_heif_opener()
    image, file = draw(which, (96, 64)).image, io.BytesIO()
    image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    if options.get("save_all"):
        options = {**options, "append_images": [draw(one, (96, 64)).image.convert(mode) for one in (1, 2)]}
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    if kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        options = {**options, "exif": exif.tobytes()}
    image.save(file, kind, **options)
    return file.getvalue()


def _place(content: bytearray, dice: random.Random) -> int:
    """Return a place: usually in the head, where lengths and kinds stand."""
    return dice.randrange(max(1, min(len(content), dice.choice((32, 256, len(content))))))


def _flip(content: bytearray, dice: random.Random) -> None:
    if content:
        content[_place(content, dice)] ^= 1 << dice.randrange(8)


def _put_border(content: bytearray, dice: random.Random) -> None:
    at, value = _place(content, dice), dice.choice(_BORDERS)
    content[at : at + len(value)] = value


def _cut_end(content: bytearray, dice: random.Random) -> None:
    del content[_place(content, dice) :]


def _cut_middle(content: bytearray, dice: random.Random) -> None:
    at = _place(content, dice)
    del content[at : at + dice.choice((1, 4, 64, 1024))]


def _double(content: bytearray, dice: random.Random) -> None:
    at, size = _place(content, dice), dice.choice((1, 4, 64, 1024))
    content[at:at] = content[at : at + size] * dice.choice((1, 2, 50))


def _put_noise(content: bytearray, dice: random.Random) -> None:
    at, size = _place(content, dice), dice.choice((1, 4, 64, 1024))
    content[at : at + size] = dice.randbytes(size)


def _splice(content: bytearray, dice: random.Random) -> None:
    """Go on with the bytes of another format."""
    other = _file(dice.randrange(len(_FILES)))
    at = _place(content, dice)
    content[at:] = other[min(at, len(other)) :]


_CHANGES = (_flip, _flip, _put_border, _put_border, _cut_end, _cut_middle, _double, _put_noise, _splice)
