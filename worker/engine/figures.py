"""The figures that a worker publishes about its engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.engine.stage_clock import Stage, StageTotals


@dataclass(frozen=True)
class Figures:
    """Counts and seconds since the model was loaded."""

    #: Images that the vision tower has encoded.
    images_encoded: int = 0
    stages: Mapping[Stage, StageTotals] = field(default_factory=dict)
    #: Reads and writes of the feature cache by their ends; empty: there is none.
    features: Mapping[str, int] = field(default_factory=dict)
