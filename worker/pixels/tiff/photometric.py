"""Photometric interpretations of TIFF: from samples to the modes that Pillow converts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.images.formats.tiff_kinds import CIELAB, CMYK, ICCLAB, MASK, MIN_IS_BLACK, MIN_IS_WHITE, YCBCR

_Bytes = NDArray[np.uint8]
_GREY = (MIN_IS_WHITE, MIN_IS_BLACK, MASK)


def palette_colours(indices: NDArray[Any], colormap: NDArray[np.uint16], *, has_8_bits: bool) -> _Bytes:
    """Look up the colours of a palette. Indices beyond its end get the last colour."""
    colours = (colormap if has_8_bits else colormap // 257).astype(np.uint8)
    return colours.T.take(indices, axis=0, mode="clip")


def unsigned_lab(samples: NDArray[Any]) -> NDArray[Any]:
    """Move the signed a and b of CIELab to the middle of unsigned numbers, where ICCLab and Pillow have them."""
    if samples.dtype.kind == "f":
        units: NDArray[Any] = samples * np.array([1 / 100, 1 / 255, 1 / 255]) + np.array([0, 128 / 255, 128 / 255])
        return units
    unsigned = samples.view(f"u{samples.dtype.itemsize}")
    flipped: NDArray[Any] = unsigned ^ np.array([0, 1, 1], unsigned.dtype) << (samples.dtype.itemsize * 8 - 1)
    return flipped


def picture_of(colours: _Bytes, photometric: int, alpha: _Bytes | None, *, is_associated: bool) -> Image.Image:
    """Make an image of 8-bit samples.

    Args:
        colours: lines of pixels of samples: as many as the interpretation has, three for a palette.
        photometric: the interpretation.
        alpha: lines of pixels; None for opaque images.
        is_associated: the colours are multiplied by alpha.
    """
    if photometric == CMYK:
        return Image.fromarray(colours if alpha is None else _on_paper(colours, alpha, is_associated), "CMYK")
    if photometric == MIN_IS_WHITE:
        # Multiplied colours are dark where they are clear, so white minus them is taken within alpha.
        colours = (alpha[..., None] if alpha is not None and is_associated else np.uint8(255)) - colours
    image = _opaque(colours, photometric)
    if alpha is None:
        return image
    grey = image.mode == "L"
    mode = ("La" if grey else "RGBa") if is_associated else ("LA" if grey else "RGBA")
    layers = np.concatenate([np.asarray(image).reshape(*alpha.shape, -1), alpha[..., None]], axis=2)
    return Image.frombytes(mode, image.size, layers.tobytes())


def _opaque(colours: _Bytes, photometric: int) -> Image.Image:
    if photometric in _GREY:
        return Image.fromarray(colours[..., 0])
    if photometric == YCBCR:
        return Image.frombytes("YCbCr", colours.shape[1::-1], colours.tobytes()).convert("RGB")
    if photometric in (CIELAB, ICCLAB):
        # Pillow's raw mode has signed a and b.
        signed = colours ^ np.array([0, 128, 128], np.uint8)
        return Image.frombytes("LAB", signed.shape[1::-1], signed.tobytes()).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(colours))


def _on_paper(inks: _Bytes, alpha: _Bytes, is_associated: bool) -> _Bytes:
    """Thin the inks by alpha: no ink is white paper."""
    if is_associated:
        return inks
    return (inks.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
