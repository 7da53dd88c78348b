"""The values of the fields of prompts and templates for one image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from jobs.captions.text_files import decode_text, read_output
from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, OutputError
from jobs.images.metadata import ImageMetadata, read_metadata
from jobs.images.opening import open_image
from jobs.images.sources import image_source
from jobs.objects.paths import is_object
from jobs.options.prompts.templates import METADATA_FIELDS
from jobs.requests import address_of


def field_values(
    image: PurePath,
    wanted: Collection[str],
    settings: Settings | None,
    *,
    address: str | None = None,
    roots: Sequence[Path] | None = None,
) -> dict[str, str]:
    """Return the values of the wanted fields about an image: its names, and its metadata.

    The image is opened only if a field of its metadata is wanted. If it cannot be opened, these fields are empty: the image's own
    job reports the error.

    Args:
        image: the file; for an upload, the name that its client gave it.
        settings: limits of images; None is allowed if no field of metadata is wanted.
        address: of an upload's bytes; None: `image` is a file, beside which a `.xmp` may lie.
        roots: the folders below which files may be read; None: those of the settings.
    """
    values = {"name": _shown(image.name), "stem": _shown(image.stem), "folder": _shown(image.parent.name)}
    if METADATA_FIELDS.intersection(wanted):
        assert settings is not None
        path = Path(image) if address is None and not is_object(image) else None
        values |= _metadata(address or address_of(Path(image)), path, settings, roots).values()
    return {name: value for name, value in values.items() if name in wanted}


def existing_caption(output: Path) -> str:
    """Return the words of an image's text; empty if there is none, or if it cannot be read: the image's job reports that."""
    try:
        content = read_output(output)
        return "" if content is None else decode_text(content, output).strip()
    except OutputError:
        return ""


def _metadata(address: str, path: Path | None, settings: Settings, roots: Sequence[Path] | None) -> ImageMetadata:
    try:
        with open_image(image_source(address, settings, roots), settings) as (opened, _):
            return read_metadata(opened, path)
    except CaptionqError:
        return ImageMetadata()


def _shown(name: str) -> str:
    return name.encode(errors="replace").decode()
