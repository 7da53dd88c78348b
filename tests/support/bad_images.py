"""Files that are not usable images, each with the error code that its job must end with."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.support.scenes import draw


def write_bad_images(folder: Path) -> dict[str, str]:
    """Write the files into the folder; return the error code of each file name."""
    folder.mkdir(parents=True, exist_ok=True)
    image = draw(3, (256, 256)).image
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("This is no photograph.\n")
    for name in ("truncated.jpg", "truncated.png", "truncated.webp", "truncated.tiff"):
        whole = folder / name
        image.save(whole)
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "bomb.png").write_bytes(_png_header(20_000, 20_000))
    image.save(folder / "jpeg-inside.bmp")
    _claim_jpeg_inside(folder / "jpeg-inside.bmp")
    (folder / "folder.png").mkdir()
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    return {
        "empty.jpg": "empty_image_file",
        "text.jpg": "unsupported_image_media_type",
        "truncated.jpg": "image_parse_error",
        "truncated.png": "image_parse_error",
        "truncated.webp": "image_parse_error",
        "truncated.tiff": "image_parse_error",
        "bomb.png": "image_too_large",
        "jpeg-inside.bmp": "unsupported_image_media_type",
        "folder.png": "image_parse_error",
        "dangling.png": "image_file_not_found",
    }


def write_noisy_tiff(path: Path) -> None:
    """Write a fax-compressed TIFF with damaged strips: libtiff prints a line about each, and decodes it as well as it can."""
    draw(4, (256, 256)).image.convert("1").save(path, compression="group4", tiffinfo={278: 1})
    content = bytearray(path.read_bytes())
    with Image.open(path) as image:
        offsets, counts = image.tag_v2[273], image.tag_v2[279]  # type: ignore[attr-defined]
    for offset, count in zip(offsets, counts, strict=True):
        content[offset : offset + count] = bytes((7 * number + 3) % 256 for number in range(count))
    path.write_bytes(content)


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG of a few hundred bytes whose header claims this many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(1000)))
        + _chunk(b"IEND", b"")
    )


def _claim_jpeg_inside(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[30] = 4
    path.write_bytes(content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
