"""Schedules by number: a seed gives the same events each time, and a schedule that fails is shortened."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from jobs.chunks import chunked
from tests.faults.simulation import events
from tests.faults.simulation.event_table import EVENTS, Step
from tests.faults.simulation.simulation import Simulation
from tests.faults.simulation.world import World, still_clock

#: Events that every schedule may have: without them nothing happens.
_ALWAYS = (events.submit.__name__, events.work.__name__, events.end_job.__name__)
#: The share of schedules that may have each other kind of event: so the kinds that are left follow each other more often.
_SHARE = 0.6
#: Numbers of events. Most faults need few; one schedule in twenty-five has many.
_FEW, _MANY, _LONG_SHARE = (2, 9), (15, 40), 0.04


class ScheduleFailedError(AssertionError):
    """A schedule did not go as the model says."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Log nothing and collect no garbage in the block: both would take a fifth of the schedules' time."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)


def run_all(world: World, seeds: Iterable[int]) -> None:
    """Make the schedules of these seeds. Raises ScheduleFailedError at the first that fails."""
    for some in chunked(seeds, 200):
        with undisturbed(), still_clock():
            for seed in some:
                run(world, seed)


def run(world: World, seed: int) -> list[Step]:
    """Make the schedule of this seed, and return its events. Raises ScheduleFailedError with the way to repeat it."""
    simulation, steps = Simulation(world), []
    try:
        for step in draw(simulation, seed):
            steps.append(step)
            _perform(simulation, step)
        simulation.come_to_rest()
    except Exception as error:
        fewer = shortened(world, steps, type(error))
        lines = "\n".join(f"    {step}" for step in fewer)
        suffice = f"{len(fewer)} of its {len(steps)} events suffice:\n{lines}"
        raise ScheduleFailedError(
            f"{error}\nSchedule {seed}: CAPTIONQ_TEST_SEED={seed} repeats it. {suffice}"
        ) from error
    return steps


def draw(simulation: Simulation, seed: int) -> Iterator[Step]:
    """Yield the events of this seed. Which of them can happen depends on the ones before."""
    dice = Random(seed)
    chosen = [name for name in EVENTS if name in _ALWAYS or dice.random() < _SHARE]
    yield _step("submit", dice, is_killed=False, notifies=True)
    for _ in range(dice.randint(*(_MANY if dice.random() < _LONG_SHARE else _FEW))):
        possible = [name for name in chosen if EVENTS[name].can_happen(simulation)]
        yield _step(dice.choices(possible, [EVENTS[name].weight for name in possible])[0], dice)


def replay(world: World, steps: Sequence[Step]) -> None:
    """Let these events happen, without those that cannot."""
    simulation = Simulation(world)
    for step in steps:
        if step.event.can_happen(simulation):
            _perform(simulation, step)
    simulation.come_to_rest()


def shortened(world: World, steps: Sequence[Step], failure: type[Exception]) -> list[Step]:
    """Return the events without those that the failure does not need."""
    needed = list(steps)
    for place in reversed(range(len(steps))):
        fewer = [*needed[:place], *needed[place + 1 :]]
        try:
            replay(world, fewer)
        except failure:
            needed = fewer
        except Exception:
            continue
    return needed


def _step(name: str, dice: Random, **given: object) -> Step:
    drawn = {argument: draw_one(dice) for argument, draw_one in EVENTS[name].draws.items()}
    return Step(name, drawn | given)


def _perform(simulation: Simulation, step: Step) -> None:
    step.event.perform(simulation, **step.arguments)
    simulation.check()
