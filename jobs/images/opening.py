"""Opening an image: what its header says, and whether anybody will look at it. No pixel is decoded here."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from jobs.errors import (
    EmptyImageError,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    ImageTooSlowError,
    UnsupportedImageError,
)
from jobs.images.decode_cost import MAX_SCANS, Cost, cost_of
from jobs.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

#: Pillow's names of what is decoded; every other format is refused unopened.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")
#: Longer images than this (long side : short side) have rows of pixels thinner than a patch; the models' processors refuse them.
MAX_ASPECT = 100


def check_image(source: Path | bytes, settings: Settings, *, name: str | None = None) -> None:
    """Raise what `open_image` raises. A file that passes may still be damaged further on."""
    with open_image(source, settings, name=name):
        pass


@contextmanager
def open_image(
    source: Path | bytes, settings: Settings, *, name: str | None = None
) -> Iterator[tuple[Image.Image, Cost]]:
    """Open an image of a known format and within the limits of the settings, and estimate what decoding it costs.

    `name` is what the errors call it; the file's own name without one. Raises ImageError or a subclass, whatever is wrong with
    the file, and makes one of whatever the caller stumbles over in it.
    """
    # Imported here: most processes never look at an image.
    from PIL import Image, UnidentifiedImageError

    _register_heif()
    name = name or name_of(source)
    try:
        with warnings.catch_warnings():
            # Broken metadata makes Pillow warn; whether the pixels can be read is all that matters here.
            warnings.simplefilter("ignore")
            _check_length(source, name)
            with _opened(source) as file, Image.open(file, formats=FORMATS) as image:
                _check_pixels(image, name, settings)
                cost = cost_of(image, file, settings)
                _check_cost(cost, image, name, settings)
                yield image, cost
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedImageError(f"{name} is no image of a known format, or is damaged.") from None
    except FileNotFoundError:
        raise ImageNotFoundError(f"{name} does not exist.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: permission denied.") from None
    except MemoryError:
        refuse_memory(name, settings)
    except Exception as error:
        # Decoders raise whatever they stumble over: OSError, SyntaxError, struct.error, IndexError …
        # The system's errors name the path besides.
        words = str(getattr(error, "strerror", None) or error).strip().splitlines()
        raise ImageError(f"{name} is damaged: {words[0] if words else type(error).__name__}.") from error


def name_of(source: Path | bytes) -> str:
    """The name of an image in errors, where no other is known."""
    return source.name.encode(errors="replace").decode() if isinstance(source, Path) else "The image"


def refuse_memory(name: str, settings: Settings) -> NoReturn:
    """Raise ImageTooLargeError for an image whose decoder ran out of memory."""
    raise ImageTooLargeError(
        f"{name} takes more memory to decode than is allowed: {settings.decode_memory / 1e9:.1f} GB (CAPTIONQ_DECODE_MEMORY)."
    )


class _Unmapped(io.BufferedReader):
    """A file that is never mapped into memory: cut short by another program meanwhile, a mapped file kills its readers (SIGBUS).

    Pillow maps files that it opens by their paths, and libtiff those that have a descriptor.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else _Unmapped(io.FileIO(source))


@cache
def _register_heif() -> None:
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    # Pillow's own guard is a warning at half this number; `_check_pixels` is the guard here.
    Image.MAX_IMAGE_PIXELS = None


def _check_length(source: Path | bytes, name: str) -> None:
    if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
        raise EmptyImageError(f"{name} is empty.")


def _check_pixels(image: Image.Image, name: str, settings: Settings) -> None:
    """From the header alone: a file of a few kilobytes can hold gigabytes of pixels."""
    width, height = image.size
    if width * height > settings.max_image_pixels:
        raise ImageTooLargeError(
            f"{name} has {width}×{height} pixels; the limit is {settings.max_image_pixels / 1e6:.0f} megapixels "
            "(CAPTIONQ_MAX_IMAGE_PIXELS)."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{name} has {width}×{height} pixels: too long and thin to look at.")


def _check_cost(cost: Cost, image: Image.Image, name: str, settings: Settings) -> None:
    if cost.scans > MAX_SCANS:
        raise ImageTooSlowError(f"{name} has more than {MAX_SCANS} scans; save it again as an ordinary JPEG.")
    if cost.memory > settings.decode_memory:
        raise ImageTooLargeError(
            f"{name} ({image.width}×{image.height} {image.format}) takes {cost.memory / 1e9:.1f} GB to decode; "
            f"the limit is {settings.decode_memory / 1e9:.1f} GB (CAPTIONQ_DECODE_MEMORY)."
        )
