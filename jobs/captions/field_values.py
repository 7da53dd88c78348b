"""The values of a template's fields for one image."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jobs.errors import ImageError
from jobs.images.metadata import ImageMetadata, read_metadata
from jobs.images.opening import open_image
from jobs.options.templates import METADATA_FIELDS
from jobs.settings import Settings


def field_values(image: Path, wanted: Collection[str], settings: Settings) -> dict[str, str]:
    """Return the values of the wanted fields about an image file: its names, and its metadata.

    The file is opened only if a field of its metadata is wanted. If it cannot be opened, these fields are empty: the image's own
    job reports the error.
    """
    values = {"name": _shown(image.name), "stem": _shown(image.stem), "folder": _shown(image.parent.name)}
    if METADATA_FIELDS.intersection(wanted):
        values |= _metadata(image, settings).values()
    return {name: value for name, value in values.items() if name in wanted}


def _metadata(image: Path, settings: Settings) -> ImageMetadata:
    try:
        with open_image(image, settings) as (opened, _):
            return read_metadata(opened, image)
    except ImageError:
        return ImageMetadata()


def _shown(name: str) -> str:
    return name.encode(errors="replace").decode()
