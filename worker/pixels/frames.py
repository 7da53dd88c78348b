"""The pictures of containers: a RAW photograph, pages of a PDF, frames of a video. Runs in the decoder's process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, UnsupportedImageError
from jobs.images.formats.containers import Container
from jobs.images.formats.jpeg_file import JpegFile
from jobs.images.formats.refusal_words import too_many_pixels

if TYPE_CHECKING:
    import rawpy

#: Turns of a RAW's `flip` as LibRaw has it, for previews that have no orientation of their own.
_FLIPS = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}
_ORIENTATION = 0x0112


def frames_of(container: Container, count: int, max_pixels: int, name: str, settings: Settings) -> list[Image.Image]:
    """Return the pictures of a container, upright, RGB or a JPEG that is not decoded yet.

    Args:
        container: an opened file.
        count: most pages of a PDF, from the first on, or most frames of a video, evenly spaced from the first on.
        max_pixels: pixels that the model gets to see.
        name: of the file, in errors.
        settings: hold the limits.

    Raises ImageError.
    """
    match container.format:
        case "RAW":
            return [_developed(container, max_pixels, name, settings)]
        case "PDF":
            return list(_pages(container, count, max_pixels, name))
        case _:
            return list(_video_frames(container, count, name, settings))


def _developed(container: Container, max_pixels: int, name: str, settings: Settings) -> Image.Image:
    """Return the embedded preview of a RAW photograph if it is large enough; else develop the photograph."""
    import rawpy

    try:
        with rawpy.imread(container.file) as raw:
            sizes = raw.sizes
            if sizes.raw_width * sizes.raw_height > settings.max_image_pixels:
                raise too_many_pixels(name, sizes.raw_width, sizes.raw_height, settings)
            pixels = sizes.width * sizes.height
            if (preview := _preview(raw, min(pixels, max_pixels))) is not None:
                return preview
            # Half the size is four times as fast, and as good if it is scaled down anyway.
            return Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=pixels >= 4 * max_pixels))
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnsupportedImageError(f"{name} is a RAW photograph of a kind that is not supported.") from error
    except rawpy.LibRawError as error:
        raise ImageError(f"{name} is damaged: its RAW data cannot be decoded.") from error


def _preview(raw: rawpy.RawPy, pixels: int) -> Image.Image | None:
    """Return the embedded JPEG, if it has at least this many pixels."""
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumbnail.format != rawpy.ThumbFormat.JPEG or not isinstance(thumbnail.data, bytes):
        return None
    preview = JpegFile(io.BytesIO(thumbnail.data))
    if preview.width * preview.height < pixels:
        return None
    if _ORIENTATION in preview.getexif() or raw.sizes.flip not in _FLIPS:
        return preview
    return preview.transpose(_FLIPS[raw.sizes.flip])


def _pages(container: Container, count: int, max_pixels: int, name: str) -> Iterator[Image.Image]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(container.file)
        for number in range(min(count, len(document))):
            page = document[number]
            width, height = page.get_size()
            yield page.render(scale=(max_pixels / (width * height)) ** 0.5).to_pil().convert("RGB")
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnsupportedImageError(f"{name} is protected by a password. Save it without one.") from error
        raise ImageError(f"{name} is damaged: its PDF data cannot be read.") from error


def _video_frames(container: Container, count: int, name: str, settings: Settings) -> Iterator[Image.Image]:
    import av

    try:
        with av.open(container.file) as video:
            if not video.streams.video:
                raise UnsupportedImageError(f"{name} has sound only, and no pictures.")
            stream = video.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > settings.max_image_pixels:
                raise too_many_pixels(name, width, height, settings)
            found = [_frame_at(video, stream, number / count) for number in range(count)]
            for frame in found:
                if frame is not None:
                    # Phones store upright videos lying, with the turn beside them.
                    yield frame.to_image().rotate(frame.rotation, expand=True)
            if found[0] is None:
                raise ImageError(f"{name} is damaged: no frame of the video can be decoded.")
    except av.FFmpegError as error:
        raise ImageError(f"{name} is damaged: its video data cannot be decoded.") from error


def _frame_at(video: Any, stream: Any, share: float) -> Any:
    """Return the frame at this share of a video's length; None: there is none, as in a video of unknown length."""
    if not share:
        return next(video.decode(stream), None)
    if not video.duration:
        return None
    microseconds = (video.start_time or 0) + int(video.duration * share)
    video.seek(microseconds)
    # Frames before the first key frame would show what an earlier one left.
    whole = dropwhile(lambda frame: not frame.key_frame, video.decode(stream))
    return next((frame for frame in whole if frame.time is not None and frame.time * 1e6 >= microseconds), None)
