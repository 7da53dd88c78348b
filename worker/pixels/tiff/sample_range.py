"""The values that are black and white in a TIFF whose format leaves that open: floating-point, signed and 32-bit samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.images.formats.tiff_kinds import FLOAT, SIGNED, UNSIGNED

#: Values that are looked at, evenly spread over the picture.
_LOOKED_AT = 1 << 18
#: Bits that programs use of wider samples.
_USED_BITS = (8, 16, 24, 32, 64)
#: The share of values at each end that may be highlights or faults: one of them must not decide how the others look.
_OUTLIERS = 0.001
#: Larger floating-point values count as 0 to 255, smaller ones as brighter than white.
_BRIGHTEST_HIGHLIGHT = 8.0


def range_of(values: NDArray[Any], *, bits: int, form: int, nodata: float | None) -> tuple[float, float]:
    """Return the values that are shown as black and as white.

    Args:
        values: the colours, as lines of pixels of samples.
        bits: the used bits of a sample.
        form: the sample format: unsigned, signed or float.
        nodata: the value of pixels without a measurement.
    """
    if form == UNSIGNED and bits <= 16:
        return 0.0, float(2**bits - 1)
    known = _without_fill(_sorted_sample(values, nodata))
    if not known.size:
        return 0.0, 1.0
    return _float_range(known, is_measured=nodata is not None) if form == FLOAT else _integer_range(known, bits, form)


def _float_range(known: NDArray[np.float64], *, is_measured: bool) -> tuple[float, float]:
    """Choose between 0 to 1, 0 to 255, 0 to 65535 and the values' own range, which measurements beyond 0 to 1 always get."""
    low, high = _ends(known)
    if low >= -0.05 and (high <= 1.001 or _is_mostly_unit(known)):
        return 0.0, 1.0
    if is_measured:
        return _own_range(low, high)
    if low >= 0 and _BRIGHTEST_HIGHLIGHT < high <= 255:
        return 0.0, 255.0
    if low >= 0 and 65535 / 4 < high <= 65535:
        return 0.0, 65535.0
    return _own_range(low, high)


def _integer_range(known: NDArray[np.float64], bits: int, form: int) -> tuple[float, float]:
    """Choose the narrowest usual range that holds the values; if negative ones are among them, the whole or their own range."""
    low, high = _ends(known)
    half = 2 ** (bits - 1)
    if low < 0:
        return (float(-half), float(half - 1)) if low < -half / 4 else _own_range(low, high)
    positive = bits - 1 if form == SIGNED else bits
    used = next((used for used in _USED_BITS if used < positive and high < 2**used), positive)
    return 0.0, float(2**used - 1)


def _own_range(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 1, low)


def _ends(known: NDArray[np.float64]) -> tuple[float, float]:
    last = known.size - 1
    outliers = int(np.ceil(last * _OUTLIERS))
    return float(known[min(outliers, last)]), float(known[max(last - outliers, 0)])


def _is_mostly_unit(known: NDArray[np.float64]) -> bool:
    """Check whether most values are fractions between 0 and 1: the larger ones are then brighter than white."""
    return bool(np.count_nonzero((known > 0) & (known < 1)) > known.size / 2)


def _sorted_sample(values: NDArray[Any], nodata: float | None) -> NDArray[np.float64]:
    step = max(1, int(np.ceil((values.size / _LOOKED_AT) ** 0.5)))
    sample = values[::step, ::step].astype(np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if nodata is not None:
        sample = sample[sample != nodata]
    return np.sort(sample)


def _without_fill(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out a value far below or above all others, such as -9999 or 3.4e38: it marks pixels without a measurement."""
    above = known[np.searchsorted(known, known[:1], side="right")[0] :] if known.size else known
    if above.size and known[0] < 0 and above[0] - known[0] > 2 * _spread(above):
        known = above
    below = known[: np.searchsorted(known, known[-1:], side="left")[0]] if known.size else known
    if below.size and known[-1] - below[-1] > 100 * _spread(below) > 0:
        known = below
    return known


def _spread(known: NDArray[np.float64]) -> float:
    low, high = _ends(known)
    return high - low
