"""The words of refusals: the sentence that tells a person why an image cannot be used, by the error of its decoder."""

from __future__ import annotations

import errno
import os
import re

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageTooLargeError, UnsupportedImageError

#: Names of formats for people, by Pillow's names. HEIF files are known by the name of their usual codec.
_SPOKEN = {"WEBP": "WebP", "HEIF": "HEIC"}
#: Texts of decoders that do not support a kind of file, and the words for the kind.
_KINDS = (
    (re.compile(r"cannot handle (\d+)-bit layers"), "{} bits a channel"),
    (re.compile(r"cannot handle (\d+)-layer images"), "{} channels"),
    (re.compile(r"Unsupported BMP bitfields layout"), "its layout of bits"),
    (re.compile(r"Unsupported BMP (pixel depth|compression|header type) \((\d+)\)"), "{} {}"),
    (re.compile(r"not (?:yet )?supported$|[Uu]nsupported (?:feature|codec|colorspace|color conversion)"), ""),
)
#: Texts of decoders that did not get all bytes.
_TRUNCATED = re.compile(
    r"truncated|premature end|end of (?:file|stream|data)|buffer is not large enough", re.IGNORECASE
)
_AV1 = re.compile(r"\bAV1\b")
#: The words for data that the format's decoder refuses, if its own text would say nothing to a person.
_DAMAGED = {
    "TIFF": "its TIFF data cannot be decoded",
    "WEBP": "its WebP data cannot be read",
    "AVIF": "its AVIF data cannot be read",
    "HEIF": "its HEIC data cannot be read",
}
_BOXES = re.compile(r"BMFF pars")


def refusal(error: Exception, kind: str | None, name: str) -> ImageError:
    """Return the error for an image whose decoder raised `error`.

    Args:
        error: The decoder's error; decoders raise many types of errors for damaged files.
        kind: Pillow's name of the format; None: the file was not read so far.
        name: The image's name.
    """
    text = str(error)
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return ImageError(f"{name} cannot be read: {os.strerror(error.errno)}.")
    if kind == "HEIF" and _AV1.search(text):
        return UnsupportedImageError(f"{name} holds AV1, which is not supported in HEIC.")
    for pattern, words in _KINDS:
        if found := pattern.search(text):
            return unsupported_kind(kind, name, words.format(*found.groups()))
    if _TRUNCATED.search(text):
        return ImageError(truncated(name))
    if _BOXES.search(text):
        return ImageError(f"{name} is damaged: its AVIF boxes, which describe the picture, are not valid.")
    return ImageError(f"{name} is damaged: {_DAMAGED.get(kind or '', 'its data is not valid')}.")


def unsupported_kind(kind: str | None, name: str, words: str) -> UnsupportedImageError:
    """Return the error for a file of a known format, but of a kind that is not decoded. `words` may be empty."""
    spoken = _SPOKEN.get(kind or "", kind)
    return UnsupportedImageError(
        f"{name} is a {spoken} of a kind that is not supported{f' ({words})' if words else ''}."
    )


def unknown_format(name: str, *, is_file: bool) -> UnsupportedImageError:
    """Return the error for bytes that announce no known format. `is_file`: the name is a file's or given by a client."""
    if is_file:
        return UnsupportedImageError(f"{name} is not a supported image, or is damaged.")
    return UnsupportedImageError("The data is not a supported image (JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC or AVIF).")


def too_many_pixels(name: str, width: int, height: int, settings: Settings) -> ImageTooLargeError:
    """Return the error for an image of more pixels than the settings allow."""
    return ImageTooLargeError(
        f"{name} has {width}×{height} pixels; the limit is {settings.max_image_pixels / 1e6:.0f} megapixels "
        "(CAPTIONQ_MAX_IMAGE_PIXELS)."
    )


def truncated(name: str) -> str:
    """Word the refusal of a file that ends too early."""
    return f"{name} is truncated: the end of the file is missing."


def refusal_to_read(name: str, error: OSError) -> str:
    """Word the refusal of a file or folder that this process may not read."""
    if error.errno == errno.EPERM:
        # A Mac's privacy protection, whatever the file's own permissions are.
        return (
            f"macOS does not let this program read {name}. Allow your terminal in System Settings > Privacy & Security > "
            "Files and Folders, or Full Disk Access."
        )
    return f"Cannot read {name}: permission denied. Check its permissions."
