"""Fault points: named places at which tests kill the process, delay it, or let an operation fail.

Without the variable `CAPTIONQ_TEST_FAULT_POINTS`, which only tests set, a point costs one call and does nothing.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

VARIABLE = "CAPTIONQ_TEST_FAULT_POINTS"
#: Seconds that a delay takes at most.
LONGEST_DELAY = 0.5


class FaultPoint(StrEnum):
    """Places in the product. A test fails when no run reaches one of them (`tests/faults/test_fault_points.py`)."""

    COMMIT = "commit"  #: all statements of a write transaction were executed
    COMMITTED = "committed"  #: the transaction is in the database, and nothing has followed yet
    BLOB = "blob"  #: the bytes of a blob are on the disk, under a temporary name
    BLOB_STORED = "blob_stored"  #: the blob has its name
    ENQUEUE = "enqueue"  #: rows are committed, and no worker knows of them
    FEED = "feed"  #: a feeder holds its lock, and is about to write the lane
    CLAIM = "claim"  #: entries are leased, and their rows are still queued
    CLAIMED = "claimed"  #: the rows are claimed, and their jobs have not begun
    STEP = "step"  #: a step of the engine begins
    PUBLISH = "publish"  #: a text is on the disk, under a temporary name
    ANSWERED = "answered"  #: all files of a job are written, and the row is still running
    REPORT = "report"  #: rows have ended, and rq does not know
    RECOVER = "recover"  #: rows of a dead worker were taken back, and Redis still has its leases
    WEBHOOK = "webhook"  #: a message is claimed, and not sent
    WEBHOOK_SENT = "webhook_sent"  #: the message has arrived, and the row does not say so


@dataclass(frozen=True)
class Fault:
    """What happens at a point."""

    #: `kill`, `delay` or `fail`.
    kind: str
    #: The number of the pass at which it happens, from 1; None: at each pass, by chance.
    at: int | None = None
    chance: float = 1.0


@dataclass
class Plan:
    """The faults of a run."""

    faults: dict[str, Fault]
    seed: int = 0
    #: A folder that gets a file for each point that was reached, and a line for each fault.
    notes: Path | None = None
    _passes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read a plan that `as_json` has written."""
        values = json.loads(text)
        faults = {name: Fault(**fault) for name, fault in values["faults"].items()}
        return cls(faults, values["seed"], Path(values["notes"]) if values["notes"] else None)

    def as_json(self) -> str:
        """Write the plan for the variable."""
        faults = {name: vars(fault) for name, fault in self.faults.items()}
        return json.dumps({"faults": faults, "seed": self.seed, "notes": self.notes and str(self.notes)})

    def pass_through(self, point: FaultPoint) -> None:
        """Note that the point was reached, and do what the plan says."""
        count = self._passes[point] = self._passes.get(point, 0) + 1
        if count == 1 and self.notes is not None:
            (self.notes / f"reached-{point}").touch()
        fault = self.faults.get(point)
        if fault is None or (fault.at is not None and fault.at != count):
            return
        # Each process has chances of its own: a worker that is started again would die at the same place for ever.
        dice = random.Random(f"{self.seed} {os.getpid()} {point} {count}")
        if dice.random() < fault.chance:
            self._happen(point, fault.kind, dice)

    def _happen(self, point: FaultPoint, kind: str, dice: random.Random) -> None:
        if self.notes is not None:
            with (self.notes / "faults").open("a") as file:
                file.write(f"{kind} {point}\n")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "delay":
            time.sleep(dice.uniform(0, LONGEST_DELAY))
        else:
            raise OSError(errno.EIO, f"a fault at the point {point}")


@cache
def _plan() -> Plan | None:
    text = os.environ.get(VARIABLE)
    return None if text is None else Plan.parse(text)


def point(name: FaultPoint) -> None:
    """Pass through a fault point."""
    plan = _plan()
    if plan is not None:
        plan.pass_through(name)
