"""ICC profiles (ICC.1:2022) for colours that a file describes by primaries and a transfer curve instead of a profile."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: CIE 1931 x and y.
Chromaticity: TypeAlias = tuple[float, float]
#: Red, green, blue and white.
Primaries: TypeAlias = tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity]
#: The tag of a transfer curve, from encoded values to linear light (ICC.1, 10.6 and 10.18).
Curve: TypeAlias = bytes

D65: Chromaticity = (0.3127, 0.3290)
SRGB_PRIMARIES: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
#: The white of ICC's connection space, as every profile states it (ICC.1, 7.2.16).
_D50_XYZ = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
#: The largest number of `s15Fixed16Number`.
_MAX_FIXED = 32767.0


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def power_curve(exponent: float) -> Curve:
    """Return the curve of a pure power."""
    return struct.pack(">4sIHH", b"para", 0, 0, 0) + _fixed(exponent)


def sampled_curve(samples: NDArray[np.float64]) -> Curve:
    """Return a curve through samples from 0 to 1 at equal steps; their number must be even."""
    return struct.pack(">4sII", b"curv", 0, len(samples)) + (samples * 65535).round().astype(">u2").tobytes()


#: The curve of sRGB (IEC 61966-2-1).
SRGB_CURVE: Curve = struct.pack(">4sIHH", b"para", 0, 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@lru_cache(maxsize=64)
def matrix_profile(primaries: Primaries, curve: Curve) -> bytes | None:
    """Return an RGB profile with these primaries and one curve for all channels; None if the primaries span no gamut."""
    columns = _to_d50(primaries)
    if columns is None:
        return None
    tags = [(b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve), (b"wtpt", _xyz(_D50_XYZ))]
    tags += [(name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)]
    table, data, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    return _header(offset + len(data)) + table + data


def _to_d50(primaries: Primaries) -> NDArray[np.float64] | None:
    """Return the matrix from linear RGB to XYZ relative to D50, a column a primary."""
    if any(y <= 0 for _, y in primaries):
        return None
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    colours, white = xyz[:, :3], xyz[:, 3]
    try:
        colours = colours * np.linalg.solve(colours, white)
    except np.linalg.LinAlgError:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        cones = np.diag((_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white))
    adapted = np.asarray(np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ colours, dtype=np.float64)
    return adapted if np.isfinite(adapted).all() and np.abs(adapted).max() < _MAX_FIXED else None


def _header(size: int) -> bytes:
    version, perceptual = 0x04300000, 0
    return struct.pack(
        ">I4sI4s4s4s12s4s24sI12s48s",
        size,
        b"",
        version,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"",
        b"acsp",
        b"",
        perceptual,
        _fixed(*_D50_XYZ),
        b"",
    )


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)
