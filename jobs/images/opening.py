"""Opening an image: its header, and whether it is within the limits. No pixel is decoded here."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from jobs.configuration.settings import Settings
from jobs.errors import (
    EmptyImageError,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    ImageTooSlowError,
)
from jobs.images.cloud_files import is_cloud_fault, not_sent
from jobs.images.decode_cost import MAX_SCANS, Cost, cost_of
from jobs.images.formats.refusal_words import refusal, refusal_to_read, too_many_pixels, unknown_format
from jobs.images.formats.unopened import refusal_of

if TYPE_CHECKING:
    from PIL import Image


def check_image(source: Path | bytes, settings: Settings, *, name: str | None = None) -> None:
    """Check an image by its header, and raise the errors of `open_image`. A file that passes may still have damaged pixels."""
    with open_image(source, settings, name=name):
        pass


@contextmanager
def open_image(
    source: Path | bytes, settings: Settings, *, name: str | None = None
) -> Iterator[tuple[Image.Image, Cost]]:
    """Open an image of a known format and within the limits of the settings, and estimate the cost of decoding it.

    Args:
        source: a file, or the bytes themselves.
        settings: hold the limits.
        name: of the image in errors; None: the file's own name.

    Raises ImageError or a subclass for any fault of the file, and turns errors of the block into one.
    """
    # Imported here: most processes never look at an image.
    from jobs.images.formats.decoder_choice import format_of, open_as

    name = name or name_of(source)
    try:
        with warnings.catch_warnings():
            # Broken metadata makes Pillow warn; whether the pixels can be read is all that matters here.
            warnings.simplefilter("ignore")
            _check_length(source, name)
            with _opened(source) as file:
                kind = format_of(file)
                if kind is None:
                    raise unknown_format(name, is_file=isinstance(source, Path) or name != name_of(source))
                with _worded(kind, file, name, settings), open_as(kind, file, name) as image:
                    _check_pixels(image, name, settings)
                    cost = cost_of(image, settings)
                    _check_cost(cost, image, name, settings)
                    yield image, cost
    except FileNotFoundError:
        raise ImageNotFoundError(f"{name} does not exist.") from None
    except PermissionError as error:
        raise ImageError(refusal_to_read(name, error)) from None
    except MemoryError:
        refuse_memory(name, settings)
    except OSError as error:
        raise (not_sent(name, error) if is_cloud_fault(error) else refusal(error, None, name)) from error


@contextmanager
def _worded(kind: str, file: BinaryIO, name: str, settings: Settings) -> Iterator[None]:
    """Turn the errors of a decoder into an ImageError."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        if is_cloud_fault(error):
            raise not_sent(name, error) from error
        # Decoders raise many kinds of errors for damaged files: OSError, SyntaxError, struct.error, IndexError …
        raise refusal_of(error, kind, file, name, settings) from error


def name_of(source: Path | bytes) -> str:
    """Return the name of an image in errors, if no better name is known."""
    return source.name.encode(errors="replace").decode() if isinstance(source, Path) else "The image"


def refuse_memory(name: str, settings: Settings) -> NoReturn:
    """Raise ImageTooLargeError for an image whose decoder ran out of memory."""
    raise ImageTooLargeError(
        f"{name} takes too much memory to decode; the limit is {settings.decode_memory / 1e9:.1f} GB (CAPTIONQ_DECODE_MEMORY)."
    )


class _Unmapped(io.BufferedReader):
    """A file that is never mapped into memory: if another program cuts a mapped file short, its readers are killed (SIGBUS).

    Pillow maps files that it opens by their paths, and libtiff maps files that have a descriptor.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else _Unmapped(io.FileIO(source))


def _check_length(source: Path | bytes, name: str) -> None:
    if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
        raise EmptyImageError(f"{name} is empty.")


def _check_pixels(image: Image.Image, name: str, settings: Settings) -> None:
    """Check the size by the header only: a file of a few kilobytes can hold gigabytes of pixels."""
    width, height = image.size
    if width * height > settings.max_image_pixels:
        raise too_many_pixels(name, width, height, settings)


def _check_cost(cost: Cost, image: Image.Image, name: str, settings: Settings) -> None:
    if cost.scans > MAX_SCANS:
        raise ImageTooSlowError(f"{name} has more than {MAX_SCANS} scans. Save it again as an ordinary JPEG.")
    if cost.memory > settings.decode_memory:
        raise ImageTooLargeError(
            f"{name} ({image.width}×{image.height} {image.format}) takes {cost.memory / 1e9:.1f} GB to decode; "
            f"the limit is {settings.decode_memory / 1e9:.1f} GB (CAPTIONQ_DECODE_MEMORY)."
        )
