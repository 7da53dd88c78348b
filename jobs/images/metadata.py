"""Metadata of an image for prompts and templates: date, camera, lens, place, title, keywords and people.

The values come from the image's EXIF, IPTC and XMP, and from its `.xmp` sidecar, whose values win. Metadata that cannot be read
is left out: no image fails because of it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.images.xmp import parse_xmp

if TYPE_CHECKING:
    from PIL import Image

#: Maximum characters of a value: file names, prompts and rows hold it.
MAX_CHARACTERS = 1_000
#: Maximum bytes of a sidecar that is read.
MAX_SIDECAR = 4_000_000

#: Tags of EXIF 2.32 (CIPA DC-008), and of IPTC-IIM 4.2.
_MAKE, _MODEL, _DATE_TIME, _EXIF, _GPS = 0x010F, 0x0110, 0x0132, 0x8769, 0x8825
_DATE_TIME_ORIGINAL, _LENS_MODEL = 0x9003, 0xA434
_IPTC_TITLE, _IPTC_KEYWORDS = (2, 5), (2, 25)


@dataclass(frozen=True)
class ImageMetadata:
    """Values as text; empty where the image holds none. Several keywords or people are joined by commas."""

    #: `2026-11-28`, or with the time `2026-11-28 14:03:59`.
    date: str = ""
    #: Make and model.
    camera: str = ""
    lens: str = ""
    #: Latitude and longitude in degrees, such as `48.8584, 2.2945`.
    place: str = ""
    title: str = ""
    keywords: str = ""
    people: str = ""

    def values(self) -> dict[str, str]:
        """Return the values by the names of the template's fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def read_metadata(image: Image.Image, path: Path | None) -> ImageMetadata:
    """Read the metadata of an opened image.

    Args:
        image: opened; its pixels are not needed.
        path: of its file, beside which a sidecar may lie; None: the image is no file.
    """
    found: dict[str, str] = {}
    for source in (_from_exif, _from_iptc, _from_xmp):
        # Decoders and parsers raise many kinds of errors for damaged metadata.
        with suppress(Exception):
            found |= {name: value for name, value in source(image).items() if value}
    if path is not None:
        found |= _from_sidecar(path)
    return ImageMetadata(**{name: clean_value(value) for name, value in found.items()})


def sidecar_names(image: str) -> tuple[str, str]:
    """Return the names that an image's XMP sidecar may have: digiKam's `photo.jpg.xmp`, and Lightroom's `photo.xmp`."""
    return f"{image}.xmp", os.path.splitext(image)[0] + ".xmp"  # noqa: PTH122


def _from_exif(image: Image.Image) -> dict[str, str]:
    exif = image.getexif()
    details = exif.get_ifd(_EXIF)
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    camera = model if model.casefold().startswith(make.casefold()) else f"{make} {model}".strip()
    return {
        "date": _date(_text(details.get(_DATE_TIME_ORIGINAL))) or _date(_text(exif.get(_DATE_TIME))),
        "camera": camera,
        "lens": _text(details.get(_LENS_MODEL)),
        "place": _place(exif.get_ifd(_GPS)),
    }


def _date(text: str) -> str:
    """Return a date of EXIF, `2026:11:28 14:03:59`, with dashes. A camera whose clock was not set writes zeros, or blanks."""
    year = text[:4]
    return text[:10].replace(":", "-") + text[10:] if year.isdecimal() and int(year) else ""


def _place(gps: dict[int, Any]) -> str:
    """Return the coordinates of a GPS directory; empty if they are damaged.

    Tags 1 to 4: N or S, latitude, E or W, longitude (degrees, minutes, seconds).
    """
    degrees = []
    for reference, position in ((1, 2), (3, 4)):
        if position not in gps:
            return ""
        try:
            whole, minutes, seconds = (float(part) for part in gps[position])
        except (TypeError, ValueError, ZeroDivisionError):
            return ""
        sign = -1 if _text(gps.get(reference)).upper() in ("S", "W") else 1
        degrees.append(sign * (whole + minutes / 60 + seconds / 3600))
    latitude, longitude = degrees
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return ""
    return f"{latitude:.4f}, {longitude:.4f}"


def _from_iptc(image: Image.Image) -> dict[str, str]:
    from PIL import ImageFile, IptcImagePlugin

    from jobs.images.formats.jpeg_file import JpegFile

    assert isinstance(image, ImageFile.ImageFile)
    if isinstance(image, JpegFile):
        image.info["photoshop"] = image.photoshop_resources()
    found = IptcImagePlugin.getiptcinfo(image) or {}
    keywords = found.get(_IPTC_KEYWORDS, [])
    words = keywords if isinstance(keywords, list) else [keywords]
    title = found.get(_IPTC_TITLE, b"")
    return {
        "title": _text(title[0] if isinstance(title, list) else title),
        "keywords": ", ".join(filter(None, map(_text, words))),
    }


def _from_xmp(image: Image.Image) -> dict[str, str]:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return parse_xmp(packet.encode() if isinstance(packet, str) else packet) if packet else {}


def _from_sidecar(path: Path) -> dict[str, str]:
    for name in sidecar_names(path.name):
        with suppress(OSError, ValueError):
            with open(path.with_name(name), "rb", opener=_open_file) as file:
                packet = file.read(MAX_SIDECAR + 1)
            if len(packet) <= MAX_SIDECAR:
                return {name: value for name, value in parse_xmp(packet).items() if value}
    return {}


def _open_file(path: str, flags: int) -> int:
    # A link may lead out of the folders that are served, and opening a named pipe would wait for its writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode().strip("\0 ")
        return value.decode("cp1252", errors="replace").strip("\0 ")
    return "" if value is None else str(value).strip("\0 ")


def clean_value(value: str) -> str:
    """Make one line of a value, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())[:MAX_CHARACTERS]
