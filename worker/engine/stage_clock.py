"""The stage clock: seconds of the device's time by stage, so that a user learns which of them is worth a change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """A stage that an image's way through the engine has."""

    VISION = "vision"  #: the vision tower; counted in images
    PREFILL = (
        "prefill"  #: embedding, and the prompt's way through the language model; counted in tokens that were computed
    )
    DECODE = "decode"  #: steps of the batch; counted in tokens
    WAIT = "wait"  #: no work, because the next images are still being decoded; counted in waits


@dataclass
class StageTotals:
    """The totals of one stage since the model was loaded."""

    seconds: float = 0.0
    #: In the stage's own measure.
    amount: int = 0
    #: Units of work: passes of the tower, chunks of prompts, steps of the batch.
    units: int = 0


class StageClock:
    """Totals by stage. A unit's time runs from the end of the unit before it, because the device does them one after the other.

    What the worker does between two steps falls into the time of the unit that the device has at that moment.
    """

    def __init__(self) -> None:
        self._totals = {stage: StageTotals() for stage in Stage}
        self._last = time.perf_counter()

    @property
    def totals(self) -> Mapping[Stage, StageTotals]:
        """The totals since the clock was made."""
        return self._totals

    def restart(self) -> None:
        """Begin to count: the time until now belongs to no stage, as the device had no work."""
        self._last = time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block as a wait for images."""
        self.restart()
        yield
        self.ended(Stage.WAIT)

    def ended(self, stage: Stage, amount: int = 0, units: int = 1) -> None:
        """Count a unit of work that has just ended, or a part of one (`units=0`)."""
        now = time.perf_counter()
        totals = self._totals[stage]
        totals.seconds += now - self._last
        totals.amount += amount
        totals.units += units
        self._last = now
