"""Whether a series grows: its slope, with an interval that takes into account that neighbouring values resemble each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

#: The number of means that the line is fitted to, and Student's t for 95 % with two degrees of freedom less.
MEANS = 20
_T = 2.101


@dataclass(frozen=True)
class Trend:
    """A straight line through a series."""

    mean: float
    #: Growth in an hour, and its 95 % interval.
    per_hour: float
    low: float
    high: float


def trend(hours: ArrayLike, values: ArrayLike) -> Trend:
    """Fit a line by least squares to the means of `MEANS` equal parts of a series.

    Values of a process that are seconds apart resemble each other, so as single values they would make the interval far too
    narrow. Means of minutes hardly do.

    Args:
        hours: the time of each value.
        values: at least `MEANS`.
    """
    at = np.array([part.mean() for part in np.array_split(np.asarray(hours, float), MEANS)])
    found = np.array([part.mean() for part in np.array_split(np.asarray(values, float), MEANS)])
    centred = at - at.mean()
    spread = float((centred**2).sum())
    slope = float((centred * found).sum()) / spread
    residuals = found - found.mean() - slope * centred
    margin = _T * float(np.sqrt((residuals**2).sum() / (MEANS - 2) / spread))
    return Trend(float(found.mean()), slope, slope - margin, slope + margin)
