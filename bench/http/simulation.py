"""The scheduler's policy for urgent sequences, with counted units at measured costs instead of a model: no clock, no noise.

    python -m bench.http.simulation

Clients send the next request when an answer is there, as those of `bench.http` do. Preparing a request, units of prefill and
decode steps share one core. docs/engine.md says which constants this chose. Costs in seconds are those of `bench/result.json`
(vision, prefill and decoding of 8 and of 32) and of one sequence at a time.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from math import inf

PREPARE = 0.019
VISION = 0.130
#: Prefill of a group: seconds for the group, and for each sequence. 0.090 s for one, 0.062 s each for eight.
PREFILL, PREFILL_EACH = 0.032, 0.058
#: A decode step: seconds for the batch, and for each sequence. 18 ms for one, 44 ms for 32.
STEP, STEP_EACH = 0.0172, 0.00084
#: Parts of a group's prefill: two chunks of columns, and the last column.
PREFILL_UNITS = 3
TOKENS, SLOTS, GROUP = 32, 32, 8


@dataclass(frozen=True)
class Policy:
    """A policy: how long a group waits for more sequences, and how often sequences decode while others are prefilled."""

    name: str
    #: Seconds for which a group that is not full waits for others.
    wait: float
    #: Seconds of prefill between two decode steps, at least.
    every: float
    #: Seconds of prefill before the first step, at least, while a whole group or more is still to come.
    first: float = 0.0


@dataclass
class Asked:
    """A request on its way."""

    since: float
    ready: float = 0.0
    times: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """The outcome of a burst."""

    rate: float
    completion: float
    first_p50: float
    first_p95: float
    pause_p95: float
    groups: int
    steps: int


def simulate(policy: Policy, at_a_time: int, count: int) -> Figures:
    """Run a burst of `count` requests."""
    now, left, groups, steps, decoded = 0.0, count, 0, 0, 0.0
    preparing: deque[Asked] = deque()
    waiting: list[Asked] = []
    units: deque[float] = deque()
    group: list[Asked] = []
    batch: list[Asked] = []
    done: list[Asked] = []

    def ask(number: int) -> None:
        nonlocal left
        for _ in range(min(number, left)):
            preparing.append(Asked(now))
            left -= 1

    def prepare() -> None:
        # Beside each unit of the device, one request is prepared: on one core it takes its time from the same clock.
        nonlocal now
        if preparing:
            now += PREPARE
            one = preparing.popleft()
            one.ready = now
            waiting.append(one)

    ask(at_a_time)
    while len(done) < count:
        prepare()
        room = SLOTS - len(batch)
        full = len(waiting) >= min(GROUP, room) or not preparing
        if not group and waiting and room > 0 and (full or now - waiting[0].ready >= policy.wait):
            group, waiting = waiting[: min(GROUP, room)], waiting[min(GROUP, room) :]
            groups += 1
            parts = [(PREFILL + PREFILL_EACH * len(group)) / PREFILL_UNITS] * PREFILL_UNITS
            units.extend([VISION] * len(group) + parts)
        if units:
            now += units.popleft()
            if not units:
                decoded = decoded if batch else now
                batch, group = batch + group, []
        is_held = len(group) + len(waiting) >= GROUP and not any(one.times for one in batch)
        pause = max(policy.first, policy.every) if is_held else policy.every
        if batch and ((not units and not (is_held and policy.first)) or now - decoded >= pause):
            now += STEP + STEP_EACH * len(batch)
            steps, decoded = steps + 1, now
            for one in batch:
                one.times.append(now)
            ended = [one for one in batch if len(one.times) == TOKENS]
            batch = [one for one in batch if len(one.times) < TOKENS]
            done += ended
            ask(len(ended))
    firsts = sorted(one.times[0] - one.since for one in done)
    pauses = sorted(b - a for one in done for a, b in zip(one.times, one.times[1:], strict=False))
    return Figures(
        rate=count / now,
        completion=statistics.mean(one.times[-1] - one.since for one in done),
        first_p50=firsts[len(firsts) // 2],
        first_p95=firsts[int(len(firsts) * 0.95)],
        pause_p95=pauses[int(len(pauses) * 0.95)],
        groups=groups,
        steps=steps,
    )


POLICIES = (
    Policy("a step after each unit, no waiting", 0.0, 0.0),
    Policy("groups wait 0.1 s", 0.1, 0.0),
    Policy("groups wait 0.25 s", 0.25, 0.0),
    Policy("groups wait 0.25 s, a step each 0.1 s", 0.25, 0.1),
    Policy("groups wait 0.25 s, a step each 0.2 s", 0.25, 0.2),
    Policy("groups wait 0.25 s, a step each 0.25 s", 0.25, 0.25),
    Policy("groups wait 0.25 s, a step each 0.5 s", 0.25, 0.5),
    Policy("groups wait 1 s, a step each 0.25 s", 1.0, 0.25),
    Policy("groups wait 0.25 s, all prefill first", 0.25, inf),
    Policy("a step each 0.25 s, the first after 1 s", 0.25, 0.25, 1.0),
    Policy("a step each 0.25 s, the first after 2 s", 0.25, 0.25, 2.0),
    Policy("a step each 0.25 s, the first after 4 s", 0.25, 0.25, 4.0),
    Policy("a step each 0.25 s, the first after 8 s", 0.25, 0.25, 8.0),
)


def main() -> None:
    """Print the figures of all policies."""
    for at_a_time, count in ((1, 4), (8, 12), (8, 64), (32, 32), (32, 128)):
        loop = count * (PREPARE + VISION + PREFILL + PREFILL_EACH + TOKENS * (STEP + STEP_EACH))
        floor = VISION + PREFILL / GROUP + PREFILL_EACH + TOKENS * (STEP / SLOTS + STEP_EACH)
        print(f"{count} requests, {at_a_time} at a time")
        for policy in POLICIES:
            one = simulate(policy, at_a_time, count)
            print(
                f"  {policy.name:38} {one.rate * loop / count:5.2f} x loop {one.rate * floor:5.0%} of the floor"
                f"  all {one.completion:5.2f} s  first {one.first_p50:5.2f} {one.first_p95:5.2f}"
                f"  pause {one.pause_p95:4.2f}  groups {one.groups:3} steps {one.steps:4}"
            )


if __name__ == "__main__":
    main()
