"""Opening an image: what its header says, and whether anybody will look at it. No pixel is decoded here."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import EmptyImageError, ImageError, ImageNotFoundError, ImageTooLargeError, UnsupportedImageError
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
def open_image(source: Path | bytes, settings: Settings, *, name: str | None = None) -> Iterator[Image.Image]:
    """The image, of a known format and no larger than `settings.max_image_pixels`; loading it is left to the caller.

    `name` is what the errors call it; the file's own name without one. Raises ImageError or a subclass, whatever is wrong with
    the file, and makes one of whatever the caller stumbles over in it.
    """
    # Imported here: most processes never look at an image.
    from PIL import Image, UnidentifiedImageError

    _register_heif()
    if name is None:
        name = source.name.encode(errors="replace").decode() if isinstance(source, Path) else "The image"
    try:
        with warnings.catch_warnings():
            # Broken metadata makes Pillow warn; whether the pixels can be read is all that matters here.
            warnings.simplefilter("ignore")
            _check_length(source, name)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as image:
                _check_pixels(image, name, settings)
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedImageError(f"{name} is no image of a known format, or is damaged.") from None
    except FileNotFoundError:
        raise ImageNotFoundError(f"{name} does not exist.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: permission denied.") from None
    except Exception as error:
        # Decoders raise whatever they stumble over: OSError, SyntaxError, struct.error, IndexError …
        # The system's errors name the path besides.
        words = str(getattr(error, "strerror", None) or error).strip().splitlines()
        raise ImageError(f"{name} is damaged: {words[0] if words else type(error).__name__}.") from error


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
