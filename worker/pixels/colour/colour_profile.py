"""Colours by an ICC profile: from the image's own space to sRGB, applied to the few pixels that are left after scaling."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

from worker.pixels.colour.coded_colours import coded_profile
from worker.pixels.colour.gif_profile import gif_profile
from worker.pixels.colour.item_properties import Properties, coded_colours_of
from worker.pixels.colour.png_colours import png_profiles

#: The mode of the pixels that a profile is for, by the signature of its colour space (ICC.1:2022, 7.2.8).
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
#: Steps of a channel at which a profile is compared with sRGB.
_STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)
#: Maximum difference from sRGB, in 8-bit levels, at which a profile is not applied.
_SAME = 2
#: Maximum length of a profile in bytes. Those of printers have 0.5 to 3 MB.
_MAX_BYTES = 8_000_000


@dataclass(frozen=True)
class Colours:
    """The colour space of an image's pixels."""

    #: littleCMS's transform to sRGB, which threads can share; None: RGB is sRGB already, and CMYK is ink on white.
    transform: ImageCms.ImageCmsTransform | None = None
    #: Mode of the pixels that the transform takes.
    mode: str = "RGB"

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Convert RGB or CMYK pixels to sRGB. The pixels of a grey image are expected as RGB too."""
        if self.transform is None:
            return image if image.mode == "RGB" else image.convert("RGB")
        return self.transform.apply(image.getchannel(0) if self.mode == "L" else image)

    def layer_to_srgb(self, image: Image.Image) -> Image.Image:
        """Convert the colours of an image with transparent pixels, and keep its alpha channel."""
        if self.transform is None:
            return image
        layer = image.convert("RGBA")
        converted = self.to_srgb(layer.convert("RGB"))
        converted.putalpha(layer.getchannel("A"))
        return converted


def colours_of(image: Image.Image, properties: Properties) -> Colours:
    """Return the colour space that an opened image states; a profile that is unreadable or does not fit is left out.

    Must be called before the pixels are loaded, because Pillow closes the file then.

    Args:
        properties: Those of an AVIF; see `avif_properties`.
    """
    for profile in _stated(image, properties):
        if (colours := _colours(profile)) is not None:
            return colours
    return Colours()


def _stated(image: Image.Image, properties: Properties) -> Iterator[bytes]:
    """Yield the profiles of an image, the most binding first."""
    icc: bytes | None = gif_profile(image) if image.format == "GIF" else image.info.get("icc_profile")
    embedded = [icc] if icc and len(icc) <= _MAX_BYTES and _fits(icc, image.mode) else []
    if image.format == "PNG":
        yield from png_profiles(image, embedded)
        return
    yield from embedded
    coded = image.info.get("nclx_profile")
    numbers = (
        (int(coded["color_primaries"]), int(coded["transfer_characteristics"]))
        if coded
        else coded_colours_of(properties)
    )
    if numbers is not None and (profile := coded_profile(*numbers)) is not None:
        yield profile


def _fits(profile: bytes, mode: str) -> bool:
    wanted = _MODES.get(profile[16:20])
    if mode in _GREY_MODES:
        return wanted == "L"
    if mode == "CMYK":
        return wanted == "CMYK"
    return wanted == "RGB" and mode != "LAB"


@lru_cache(maxsize=32)
def _colours(profile: bytes) -> Colours | None:
    """Return the colours of a profile, without a transform if it is as good as sRGB; None if the profile is unreadable."""
    mode = _MODES[profile[16:20]]
    try:
        transform = ImageCms.ImageCmsTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
    return Colours() if _changes_nothing(transform, mode) else Colours(transform, mode)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    values = (
        [(r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS] if mode == "RGB" else [(v,) * 3 for v in _STEPS]
    )
    probe = Image.frombytes("RGB", (len(values), 1), bytes(level for value in values for level in value))
    difference = ImageChops.difference(Colours(transform, mode).to_srgb(probe), probe)
    return max(difference.tobytes()) <= _SAME
