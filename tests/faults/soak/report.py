"""The figures of a soak: growth of each series, and answers at the beginning and at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tests.faults.soak.measurement import Series
from tests.faults.soak.mixed_load import Took
from tests.faults.soak.trend import MEANS, trend

#: Answers of a kind below which a 99th percentile says nothing.
_FEWEST = 20
#: Values of a series below which its half has no trend.
_SHORTEST = 2 * MEANS + 2
#: Most that something may grow in an hour, as a share of its mean, by the lower end of the interval.
_ALLOWED = 0.05
#: Series that other programs move.
_OF_OTHERS = "machine"


def growth(series: dict[str, Series], begin: float, middle: float) -> dict[str, Any]:
    """Return the growth in an hour of each series with its 95 % interval: over the whole run, and over its second half."""
    found = {}
    for name, one in sorted(series.items()):
        values = one.since(begin)[1]
        if len(values) < _SHORTEST:
            continue
        tenth = max(1, len(values) // 10)
        found[name] = {
            "whole run": _rounded(asdict(trend(*one.since(begin)))),
            "second half": _rounded(asdict(trend(*one.since(middle)))),
            "highest in the first and last tenth": [max(values[:tenth]), max(values[-tenth:])],
            "highest": max(values),
        }
    return found


def what_grows(found: dict[str, Any]) -> list[str]:
    """Name the series that certainly grow in the second half of a run, by more than a twentieth in an hour.

    Its highest value has grown too: slower answers of a busier machine keep more connections open, but not without end.
    """
    grown = []
    for name, one in found.items():
        half, (first, last) = one["second half"], one["highest in the first and last tenth"]
        is_certain = half["low"] > _ALLOWED * half["mean"] and last > (1 + _ALLOWED) * first
        if is_certain and not name.startswith(_OF_OTHERS):
            grown.append(name)
    return grown


def latencies(took: Sequence[Took], begin: float, end: float, span: float) -> dict[str, Any]:
    """Return the number of answers, the median and the 99th percentile (s) in the first and in the last `span` seconds."""
    kinds: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for one in took:
        if begin <= one.at < begin + span:
            kinds[one.kind][0].append(one.seconds)
        if end - span <= one.at < end:
            kinds[one.kind][1].append(one.seconds)
    return {
        kind: {"first": _quantiles(first), "last": _quantiles(last)}
        for kind, (first, last) in sorted(kinds.items())
        if min(len(first), len(last)) >= _FEWEST
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    median, high = np.quantile(seconds, [0.5, 0.99])
    return {"answers": len(seconds), **_rounded({"p50": float(median), "p99": float(high)})}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}
