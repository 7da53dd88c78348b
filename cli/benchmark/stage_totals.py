"""The seconds of each stage, from what a worker publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from prometheus_client.parser import text_string_to_metric_families

#: The names of the worker's figures, and of their places here (`worker/dispatch/metrics.py`).
_FIGURES = {"captionq_stage_seconds": "seconds", "captionq_stage_amount": "amount", "captionq_stage_units": "units"}


class StageSeconds(TypedDict):
    """One stage: its seconds, the images or tokens that it took them for, and its units of work."""

    seconds: float
    amount: float
    units: float


Stages = dict[str, StageSeconds]


def stages_in(metrics: str) -> Stages:
    """Read the stages in Prometheus' text format; empty before a model is loaded."""
    found: Stages = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if (figure := _FIGURES.get(sample.name)) is not None:
                stage = found.setdefault(sample.labels["stage"], StageSeconds(seconds=0, amount=0, units=0))
                stage[figure] = sample.value  # type: ignore[literal-required]
    return found


def between(before: Mapping[str, StageSeconds], after: Mapping[str, StageSeconds]) -> Stages:
    """Return what was added to each stage from one look to a later one."""
    nothing = StageSeconds(seconds=0, amount=0, units=0)
    return {
        name: StageSeconds(
            seconds=stage["seconds"] - before.get(name, nothing)["seconds"],
            amount=stage["amount"] - before.get(name, nothing)["amount"],
            units=stage["units"] - before.get(name, nothing)["units"],
        )
        for name, stage in after.items()
    }
