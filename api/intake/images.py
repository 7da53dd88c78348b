"""The images of an HTTP request: checks whether they may be used, and returns the addresses under which the worker finds them.

Bytes go to the blobs, so that rows stay small. Files must be below a served folder once all links are resolved. Addresses on
the network are checked here, and fetched by the worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from api.runtime.resources import Resources
from api.schemas.chat.chat_message import ImageReference
from jobs.configuration.settings import Settings
from jobs.errors import (
    ImageForbiddenError,
    ImageTooLargeError,
    InvalidImageURLError,
    InvalidRequestError,
    TooManyImagesError,
)
from jobs.images.allowed_roots import is_below
from jobs.images.data_address import decoded_data, inline_data
from jobs.images.file_address import named_path, names_path
from jobs.images.opening import check_image
from jobs.images.sources import image_source
from jobs.images.stored.blobs import blob_address, put_blob
from jobs.mounts import mounts
from jobs.net.image_download import check_image_url
from jobs.objects.paths import is_object_address, object_path
from jobs.requests import address_of


def take_images(references: Sequence[ImageReference], resources: Resources) -> list[str]:
    """Return the addresses of these images, in the same order. Raises ImageError, TooManyImagesError, NotFoundError."""
    most = resources.settings.max_images
    if len(references) > most:
        raise TooManyImagesError(
            f"The request has {len(references)} images; the limit is {most} (CAPTIONQ_MAX_IMAGES)."
        )
    return [_address(reference, resources) for reference in references]


def check_served(path: Path, settings: Settings) -> Path:
    """Return the path with all links resolved.

    Raises ImageForbiddenError, also for a path that does not exist elsewhere, and InvalidRequestError for a relative path.
    """
    try:
        real = mounts().here(path.expanduser())
        if not real.is_absolute():
            raise InvalidRequestError("The path must be absolute, such as /pictures/holiday.")
        real = real.resolve()
    except (OSError, RuntimeError, ValueError):
        real = None
    if real is None or not is_below(real, settings.served_roots):
        raise ImageForbiddenError(
            "This path is not below a served folder. Serve one with: captionq serve --allow-root DIR"
        )
    return real


def _address(reference: ImageReference, resources: Resources) -> str:
    settings = resources.settings
    if reference.file_id is not None:
        file = resources.uploads.get(reference.file_id)
        if file.sha256 is None:
            raise InvalidImageURLError(f"{file.id} holds the results of a batch, not an image.")
        return blob_address(file.sha256)
    url = reference.url or ""
    if (inline := inline_data(url)) is not None:
        data = decoded_data(inline, settings)
        check_image(data, settings)
        sha256, _ = put_blob([data], settings, most=settings.max_image_bytes, too_large=ImageTooLargeError)
        return blob_address(sha256)
    if (web := url.strip())[:5].lower() in ("http:", "https"):
        check_image_url(web, settings)
        return web
    if is_object_address(web):
        return _object_address(web, settings)
    if names_path(url):
        return _file_address(named_path(url), settings)
    raise InvalidImageURLError("Image url must be https:, data:, file: or s3:.")


def _object_address(url: str, settings: Settings) -> str:
    """Check that an object lies below a served prefix. Its worker reads it."""
    path = object_path(url)
    if not is_below(path, settings.served_roots):
        raise ImageForbiddenError(
            "This object is not below a served prefix. Serve one with CAPTIONQ_SERVED_ROOTS, such as s3://bucket/photos"
        )
    return address_of(path)


def _file_address(path: Path, settings: Settings) -> str:
    real = check_served(path, settings)
    image_source(address_of(real), settings, settings.served_roots)
    check_image(real, settings)
    return address_of(real)
