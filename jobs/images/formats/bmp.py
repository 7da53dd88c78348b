"""BMP files of the kinds that Pillow does not read, or reads wrongly: odd bit fields, odd palettes, OS/2's short headers, RLE.

`register` puts this reader in the place of Pillow's, which still reads all other kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, ImagePalette

from jobs.images.formats.bmp_header import RAW, RLE4, RLE8, BmpHeader, read_header

#: Pixels that are converted in one go.
_BAND_PIXELS = 1 << 20


def register() -> None:
    """Let Pillow read BMP files by this module."""
    # Pillow's reader has registered itself when it was imported above.
    _, accept = Image.OPEN[BmpFile.format]
    Image.register_open(BmpFile.format, BmpFile, accept)
    Image.register_decoder("bmp_pixels", _PixelDecoder)
    Image.register_decoder("bmp_runs", _RunDecoder)


class BmpFile(BmpImagePlugin.BmpImageFile):
    """A BMP file of any kind."""

    def _open(self) -> None:
        assert self.fp is not None
        header = read_header(self.fp)
        position, length = header.profile
        if length:
            self.fp.seek(position)
            self.info["icc_profile"] = self.fp.read(length)
        if header.is_common:
            self.fp.seek(0)
            super()._open()
            return
        self._size = header.size
        if header.bits <= 8:
            self._mode = "P"
            self.palette = ImagePalette.raw("BGRX" if header.palette_step == 4 else "BGR", header.palette)
            decoder = "bmp_pixels" if header.compression == RAW else "bmp_runs"
        else:
            self._mode = "RGBA" if header.masks[3] else "RGB"
            decoder = "bmp_pixels"
        self.tile = [ImageFile._Tile(decoder, (0, 0, *header.size), header.offset, (header,))]  # noqa: SLF001


class _PixelDecoder(ImageFile.PyDecoder):
    """Decoder of palette indices and of bit fields, band by band."""

    _pulls_fd = True

    def decode(self, _: Any) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        assert self.fd is not None
        assert self.im is not None
        width, height = header.size
        stride = (width * header.bits + 31) // 32 * 4
        lines = max(1, _BAND_PIXELS // width)
        convert = _indices if header.bits <= 8 else _channels
        for start in range(0, height, lines):
            count = min(lines, height - start)
            data = self.fd.read(stride * count)
            if len(data) < stride * count:
                raise OSError("image file is truncated")
            rows = convert(np.frombuffer(data, np.uint8).reshape(count, stride), header)
            top = start if header.top_down else height - start - count
            band = Image.frombytes(self.mode, (width, count), (rows if header.top_down else rows[::-1]).tobytes())
            self.im.paste(band.im, (0, top, width, top + count))
        return -1, 0


class _RunDecoder(ImageFile.PyDecoder):
    """Decoder of RLE4 and RLE8; pixels that no run reaches are of the first colour."""

    _pulls_fd = True

    def decode(self, _: Any) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        assert self.fd is not None
        self.set_as_raw(_runs(self.fd.read(), header), "P", (0, 1 if header.top_down else -1))
        return -1, 0


def _indices(rows: NDArray[np.uint8], header: BmpHeader) -> NDArray[np.uint8]:
    """Return the palette indices of rows of packed pixels."""
    shifts = np.arange(8 - header.bits, -1, -header.bits, dtype=np.uint8)
    indices = (rows[:, :, None] >> shifts) & ((1 << header.bits) - 1)
    return indices.reshape(len(rows), -1)[:, : header.size[0]].astype(np.uint8)


def _channels(rows: NDArray[np.uint8], header: BmpHeader) -> NDArray[np.uint8]:
    """Return the channels of rows of bit fields, each scaled to 8 bits."""
    values = rows.view("<u2" if header.bits == 16 else "<u4")[:, : header.size[0]]
    channels = []
    for mask in header.masks if header.masks[3] else header.masks[:3]:
        lowest = mask & -mask or 1
        field = (values & mask) // lowest
        channels.append((field * (255 / (mask // lowest or 1))).round().astype(np.uint8))
    return np.stack(channels, axis=-1)


def _runs(data: bytes, header: BmpHeader) -> bytes:
    """Return the palette indices of RLE4 or RLE8 data, line after line as they are stored."""
    width, height = header.size
    pixels = bytearray(width * height)
    x = y = position = 0
    while y < height and position + 2 <= len(data):
        count, value = data[position : position + 2]
        position += 2
        if count:
            run = _unpacked(bytes([value]), header) * count
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            right, up = data[position : position + 2].ljust(2, b"\0")
            x, y, position = x + right, y + up, position + 2
            continue
        else:
            count = value
            length = (count + 1) // 2 if header.compression == RLE4 else count
            run = _unpacked(data[position : position + length], header)
            # The data of a run begins at an even byte.
            position += length + length % 2
        shown = run[: max(0, min(count, width - x))]
        start = y * width + x
        pixels[start : start + len(shown)] = shown
        x += count
    return bytes(pixels)


def _unpacked(data: bytes, header: BmpHeader) -> bytes:
    if header.compression == RLE8:
        return data
    return bytes(nibble for value in data for nibble in (value >> 4, value & 15))
