"""RAW photographs, PDFs and videos, made with a few lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import tifffile
from PIL import Image

#: The colour matrix and the neutral colour of a camera that sees as a screen shows.
_MATRIX = [(value, 10_000) for value in (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)]


def dng(
    colour: tuple[int, int, int],
    size: tuple[int, int] = (64, 48),
    preview: Image.Image | None = None,
    orientation: int = 1,
) -> bytes:
    """Make a DNG of one colour; `preview`: its embedded JPEG, which may show something else."""
    width, height = size
    mosaic = np.empty((height, width), np.uint16)
    red, green, blue = (round((level / 255) ** 2.2 * 16_000) for level in colour)
    mosaic[0::2, 0::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2], mosaic[1::2, 1::2] = red, green, green, blue
    tags = [
        (274, "H", 1, orientation, True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "A camera", True),
        (50721, "2i", 9, [part for value in _MATRIX for part in value], True),
        (50728, "2I", 3, [1, 1, 1, 1, 1, 1], True),
    ]
    pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True), (50717, "H", 1, 16_383, True)]
    written = io.BytesIO()
    with tifffile.TiffWriter(written, byteorder="<") as tiff:
        if preview is None:
            tiff.write(mosaic, photometric="cfa", extratags=tags + pattern, metadata=None)
        else:
            tiff.write(
                np.asarray(preview.convert("YCbCr")),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=1,
                subifds=1,
                extratags=tags,
                rowsperstrip=preview.height,
                metadata=None,
            )
            tiff.write(mosaic, photometric="cfa", extratags=pattern, metadata=None)
    return written.getvalue()


def pdf(pages: Sequence[Image.Image]) -> bytes:
    """Make a PDF with a page for each picture."""
    written = io.BytesIO()
    pages[0].save(written, "PDF", save_all=True, append_images=pages[1:])
    return written.getvalue()


def video(frames: Sequence[Image.Image], form: str = "mp4", *, seconds: float = 4.0) -> bytes:
    """Make a video that shows the frames one after another. Its size is theirs."""
    written = io.BytesIO()
    each = max(1, round(seconds * 8 / len(frames)))
    with av.open(written, "w", format=form) as file:
        stream = file.add_stream("mpeg4" if form != "webm" else "libvpx", rate=8)
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        stream.time_base = Fraction(1, 8)
        for number in range(each * len(frames)):
            frame = av.VideoFrame.from_image(frames[number // each])  # type: ignore[no-untyped-call]
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return written.getvalue()
