"""Opening an image: its header, and whether it is within the limits. No pixel is decoded here."""

from __future__ import annotations

import errno
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
    first_line,
)
from jobs.images.cloud_files import is_cloud_fault, not_sent
from jobs.images.decode_cost import MAX_SCANS, Cost, cost_of
from jobs.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

#: Pillow's names of the formats that are decoded; every other format is refused unopened.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")
#: Maximum of long side : short side. Scaled down, a longer image is thinner than a patch; the models' processors refuse it.
MAX_ASPECT = 100


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
        raise UnsupportedImageError(_unsupported(source, name)) from None
    except FileNotFoundError:
        raise ImageNotFoundError(f"{name} does not exist.") from None
    except PermissionError as error:
        raise ImageError(refusal_to_read(name, error)) from None
    except MemoryError:
        refuse_memory(name, settings)
    except Exception as error:
        if is_cloud_fault(error):
            raise not_sent(name, error) from error
        # Decoders raise many kinds of errors for damaged files: OSError, SyntaxError, struct.error, IndexError …
        raise ImageError(f"{name} is damaged: {first_line(error)}.") from error


def name_of(source: Path | bytes) -> str:
    """Return the name of an image in errors, if no better name is known."""
    return source.name.encode(errors="replace").decode() if isinstance(source, Path) else "The image"


def _unsupported(source: Path | bytes, name: str) -> str:
    if isinstance(source, bytes) and name == name_of(source):
        return "The data is not a supported image (JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC or AVIF)."
    return f"{name} is not a supported image, or is damaged."


def refusal_to_read(name: str, error: OSError) -> str:
    """Word the refusal of a file or folder that this process may not read."""
    if error.errno == errno.EPERM:
        # A Mac's privacy protection, whatever the file's own permissions are.
        return (
            f"macOS does not let this program read {name}. Allow your terminal in System Settings > Privacy & Security > "
            "Files and Folders, or Full Disk Access."
        )
    return f"Cannot read {name}: permission denied. Check its permissions."


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
    """Check the size by the header only: a file of a few kilobytes can hold gigabytes of pixels."""
    width, height = image.size
    if width * height > settings.max_image_pixels:
        raise ImageTooLargeError(
            f"{name} has {width}×{height} pixels; the limit is {settings.max_image_pixels / 1e6:.0f} megapixels "
            "(CAPTIONQ_MAX_IMAGE_PIXELS)."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{name} has {width}×{height} pixels: it is too long and thin for the model.")


def _check_cost(cost: Cost, image: Image.Image, name: str, settings: Settings) -> None:
    if cost.scans > MAX_SCANS:
        raise ImageTooSlowError(f"{name} has more than {MAX_SCANS} scans. Save it again as an ordinary JPEG.")
    if cost.memory > settings.decode_memory:
        raise ImageTooLargeError(
            f"{name} ({image.width}×{image.height} {image.format}) takes {cost.memory / 1e9:.1f} GB to decode; "
            f"the limit is {settings.decode_memory / 1e9:.1f} GB (CAPTIONQ_DECODE_MEMORY)."
        )
