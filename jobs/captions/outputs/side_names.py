"""The names of the JSON file and the XMP sidecar of an image. They follow the name of its text, so no two images share one."""

from __future__ import annotations

from pathlib import Path

from jobs.captions.output_names import SUFFIX, plain_name
from jobs.images.metadata import sidecar_names


def json_path(text: Path) -> Path:
    """Return the JSON file of the image with this text: `photo.txt` → `photo.json`, `photo.jpg.txt` → `photo.jpg.json`."""
    return text.with_name(text.name[: -len(SUFFIX)] + ".json")


def xmp_path(image: Path, text: Path) -> Path:
    """Return the XMP sidecar of an image: the existing one, or a new one with the text's name.

    `photo.xmp` belongs to an image only if its text could have the plain name too; otherwise it may be its twin's. If the text
    lies elsewhere than the image, nothing may be written beside the image.
    """
    if text.parent != image.parent:
        return text.with_name(text.name[: -len(SUFFIX)] + ".xmp")
    whole, plain = (image.with_name(name) for name in sidecar_names(image.name))
    if whole.is_file():
        return whole
    if text.name.casefold() == plain_name(image.name).casefold():
        return plain
    return text.with_name(text.name[: -len(SUFFIX)] + ".xmp")
