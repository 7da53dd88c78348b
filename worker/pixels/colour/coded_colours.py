"""Colours that a file codes as two numbers (ITU-T H.273; PNG's cICP, and nclx in AVIF and HEIC), as an ICC profile."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worker.pixels.colour.matrix_profile import (
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    Curve,
    Primaries,
    matrix_profile,
    power_curve,
    sampled_curve,
)

_C: tuple[float, float] = (0.310, 0.316)
_BT2020: Primaries = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
_NTSC: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES: dict[int, Primaries] = {
    1: SRGB_PRIMARIES,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: _NTSC,
    7: _NTSC,
    9: _BT2020,
    11: (*_P3, (0.314, 0.351)),
    12: (*_P3, D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
#: Exponents of curves. Curves of cameras (BT.709, BT.601, BT.2020) are shown as sRGB, as browsers do.
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_SRGB_LIKE = (1, 6, 13, 14, 15)
_PQ, _HLG = 16, 18

#: Samples of a curve.
_SAMPLES = 4096
#: Luminance (cd/m²) of white paper in an HDR picture (ITU-R BT.2408).
_WHITE = 203.0
#: Nominal luminance (cd/m²) of an HLG display.
_HLG_PEAK = 1000.0
#: Share of white up to which HDR pictures are not compressed.
_KNEE = 0.6


@lru_cache(maxsize=64)
def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """Return the profile of these numbers of H.273; None if one is unknown or unspecified."""
    curve = _curve(transfer)
    if primaries not in _PRIMARIES or curve is None:
        return None
    return matrix_profile(_PRIMARIES[primaries], curve)


def _curve(transfer: int) -> Curve | None:
    if transfer in _SRGB_LIKE:
        return SRGB_CURVE
    if transfer == _PQ:
        return _compressed(_pq(np.linspace(0, 1, _SAMPLES)))
    if transfer == _HLG:
        return _compressed(_hlg(np.linspace(0, 1, _SAMPLES)))
    return power_curve(_EXPONENTS[transfer]) if transfer in _EXPONENTS else None


def _pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance of perceptual-quantizer values (SMPTE ST 2084)."""
    power = code ** (1 / 78.84375)
    base = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return np.asarray(10_000 * base ** (1 / 0.1593017578125), dtype=np.float64)


def _hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance of hybrid log-gamma values (ITU-R BT.2100) on a nominal display, by channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(_HLG_PEAK * scene**1.2, dtype=np.float64)


def _compressed(luminance: NDArray[np.float64]) -> Curve:
    """Compress highlights into 0 to 1: up to the knee nothing changes, beyond it the range approaches white."""
    light = luminance / _WHITE
    beyond = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    return sampled_curve(np.where(light <= _KNEE, light, 1 - (1 - _KNEE) * np.exp(-beyond)))
