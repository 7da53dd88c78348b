"""The table of events: for each a function, the values that dice give to its arguments, and when it can happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tests.faults.simulation.simulation import Simulation

Draw = Callable[[Random], Any]
Perform = TypeVar("Perform", bound=Callable[..., None])


@dataclass(frozen=True)
class Event:
    """A kind of event."""

    perform: Callable[..., None]
    draws: dict[str, Draw]
    can_happen: Callable[[Simulation], bool]
    #: How often it happens beside the others.
    weight: int


@dataclass(frozen=True)
class Step:
    """One event of a schedule, with its arguments."""

    name: str
    arguments: dict[str, Any]

    @property
    def event(self) -> Event:
        return EVENTS[self.name]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!s}' for name, value in self.arguments.items())})"


EVENTS: dict[str, Event] = {}


def event(
    can_happen: Callable[[Simulation], bool] = lambda simulation: True, /, *, weight: int = 1, **draws: Draw
) -> Callable[[Perform], Perform]:
    """Enter a function into the table. Its first argument is the simulation."""

    def enter(perform: Perform) -> Perform:
        EVENTS[perform.__name__] = Event(perform, draws, can_happen, weight)
        return perform

    return enter


def number(least: int, most: int) -> Draw:
    return lambda dice: dice.randint(least, most)


def one_of(choices: Sequence[Any]) -> Draw:
    return lambda dice: dice.choice(choices)


#: A job, worker or batch: the chosen one of those there are.
WHICH = number(0, 11)
COIN = one_of((False, True))
