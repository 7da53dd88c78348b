"""The source of an image's bytes: a file below an allowed root, the request itself, a blob, or the net."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.errors import (
    EmptyImageError,
    ImageError,
    ImageForbiddenError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageURLError,
    MissingToolError,
    ObjectStoreError,
    first_line,
)
from jobs.images.allowed_roots import is_below
from jobs.images.cloud_files import has_placeholder, is_dataless, not_downloaded
from jobs.images.data_address import decoded_data
from jobs.images.file_address import named_path
from jobs.images.formats.refusal_words import refusal_to_read
from jobs.images.reach import blob_not_reached, bucket_not_reached, check_reached, is_lost_mount, not_reached
from jobs.images.stored.blobs import find_blob
from jobs.objects.paths import object_path
from jobs.objects.store import ObjectNotFoundError, read_object, size_of


def image_source(url: str, settings: Settings, roots: Sequence[Path] | None = None) -> Path | bytes:
    """Return the file to open, or the bytes themselves. Nothing of the image is decoded.

    A file has to lie below one of the `roots`; an empty list allows no file, and None means the settings' `allowed_roots`.
    Raises ImageError or one of its subclasses, and AddressForbiddenError.
    """
    scheme, separator, _ = url.partition(":")
    match scheme.lower():
        case "file" if separator:
            return _checked_file(url, settings, roots)
        case "data" if separator:
            return decoded_data(url, settings)
        case "http" | "https" if separator:
            # Imported here: few runs download images, and the libraries for it take as long to import as a folder to search.
            from jobs.net.image_download import fetch_image

            return fetch_image(url, settings)
        case "s3" if separator:
            return _checked_object(url, settings, roots)
        case "blob" if separator:
            return _checked_blob(url, settings)
        case _:
            raise InvalidImageURLError("The image's url must begin with https:, data:, file: or s3:.")


def _checked_file(url: str, settings: Settings, roots: Sequence[Path] | None) -> Path:
    path = named_path(url)
    # Only the name: an HTTP client must not learn the paths of files. The command line shows the path beside the error.
    name = path.name.encode(errors="replace").decode()
    try:
        real = path.resolve(strict=True)
        # Checked before the file is opened: opening a named pipe would wait for a writer.
        status = real.stat()
    except FileNotFoundError:
        if has_placeholder(path):
            raise not_downloaded(name) from None
        check_reached(path, name)
        reason = "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
        raise ImageNotFoundError(f"{name} {reason}.") from None
    except PermissionError as error:
        raise ImageForbiddenError(refusal_to_read(name, error)) from None
    except (OSError, RuntimeError, ValueError) as error:
        if is_lost_mount(error):
            raise not_reached(name, path) from None
        # Links in a circle raise RuntimeError in Python 3.11 and 3.12.
        if isinstance(error, RuntimeError) or getattr(error, "errno", None) == errno.ELOOP:
            raise ImageError(f"{name} is a link that leads in a circle.") from None
        # The text of an error without `strerror` names the path.
        reason = getattr(error, "strerror", None) or "its path is not valid"
        raise ImageError(f"{name} cannot be opened: {reason}.") from None
    _check_place(real, name, settings, roots)
    _check_kind(real, name, status.st_mode)
    if is_dataless(status):
        raise not_downloaded(name)
    if status.st_size == 0:
        raise EmptyImageError(f"{name} is empty.")
    _check_size(status.st_size, name, settings)
    if not os.access(real, os.R_OK):
        raise ImageForbiddenError(refusal_to_read(name, PermissionError(errno.EACCES, "Permission denied")))
    return real


def _checked_blob(url: str, settings: Settings) -> Path:
    try:
        return find_blob(url, settings)
    except ImageNotFoundError as error:
        # The machine that took it in may still have it.
        raise blob_not_reached(error) from None
    except (ObjectStoreError, MissingToolError) as error:
        raise bucket_not_reached("The uploaded image", error) from error


def _checked_object(url: str, settings: Settings, roots: Sequence[Path] | None) -> bytes:
    path = object_path(url)
    _check_place(path, path.name, settings, roots)
    try:
        size = size_of(path)
        if size == 0:
            raise EmptyImageError(f"{path.name} is empty.")
        _check_size(size, path.name, settings)
        data = read_object(path, settings.max_image_bytes)
    except ObjectNotFoundError:
        raise ImageNotFoundError(f"{path.name} does not exist.") from None
    except (ObjectStoreError, MissingToolError) as error:
        raise bucket_not_reached(path.name, error) from error
    _check_size(len(data), path.name, settings)
    return data


def _check_kind(path: Path, name: str, mode: int) -> None:
    """Check that a path is a regular file. A folder that cannot be listed was to be walked, and its reason is told."""
    if stat.S_ISDIR(mode):
        try:
            with os.scandir(path):
                raise ImageError(f"{name} is a folder, not an image.")
        except PermissionError as error:
            raise ImageForbiddenError(refusal_to_read(name, error)) from None
        except OSError as error:
            raise ImageError(f"{name} cannot be opened: {first_line(error)}.") from None
    if not stat.S_ISREG(mode):
        raise ImageError(f"{name} is not a regular file.")


def _check_place(real: Path, name: str, settings: Settings, roots: Sequence[Path] | None) -> None:
    if roots is None and not settings.allowed_roots:
        return
    allowed, variable = (roots, "SERVED_ROOTS") if roots is not None else (settings.allowed_roots, "ALLOWED_ROOTS")
    if not is_below(real, allowed):
        raise ImageForbiddenError(f"{name} is outside the folders that may be read (CAPTIONQ_{variable}).")


def _check_size(size: int, name: str, settings: Settings) -> None:
    if size > settings.max_image_bytes:
        raise ImageTooLargeError(
            f"{name} has {size / 1e6:.0f} MB; the limit is {settings.max_image_bytes / 1e6:.0f} MB (CAPTIONQ_MAX_IMAGE_BYTES)."
        )
