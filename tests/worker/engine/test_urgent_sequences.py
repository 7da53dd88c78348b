"""Urgent sequences: many that wait are prefilled in groups and decode together, and one beside bulk work is answered at once.

Counted are groups, units of prefill and decode steps, not seconds.
"""

from __future__ import annotations

import math

import pytest

from tests.support.scenes import Drawn, draw_many
from tests.worker.engine.test_engine import ask
from worker.engine import scheduler, waiting_queue
from worker.engine.engine import Engine
from worker.engine.prefill.prefill_group import PrefillGroup
from worker.engine.sequences import Outcome
from worker.models.backends import VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import load

PICTURES = draw_many(16)


@pytest.fixture(scope="module")
def rows() -> tuple[VisionBackend, list[Prepared]]:
    """The built-in model, and a question about each picture."""
    backend = VisionBackend(load("demo"))
    return backend, [backend.prepare(ask("Describe this image."), [drawn.image]) for drawn in PICTURES]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The keys of the sequences of each prefill group, as they begin."""
    begun: list[list[str]] = []
    make = PrefillGroup.__init__

    def noted(self: PrefillGroup, sequences: list, context: object) -> None:  # type: ignore[type-arg]
        begun.append([one.key for one in sequences])
        make(self, sequences, context)  # type: ignore[arg-type]

    monkeypatch.setattr(PrefillGroup, "__init__", noted)
    return begun


def tokens(engine: Engine, key: str = "0") -> int:
    """Return how many tokens a sequence has."""
    return len(engine._sequences[key].tokens)


def finish(engine: Engine, outcomes: list[Outcome], pictures: list[Drawn]) -> None:
    """Run to the end, and check every answer."""
    while engine.busy:
        outcomes += engine.step()
    assert {one.key: one.answer.text for one in outcomes} == {
        str(number): drawn.caption for number, drawn in enumerate(pictures)
    }


def test_many_urgent_sequences_are_prefilled_in_groups_before_they_decode(
    rows: tuple[VisionBackend, list[Prepared]], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen that wait are two groups of eight; all decode together from the first step on."""
    monkeypatch.setattr(scheduler, "DECODE_EVERY", math.inf)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    for number, row in enumerate(prepared):
        engine.admit(str(number), row, urgent=True)
    while engine.decoding < 16:
        assert engine.step() == []
        assert all(one.tokens == [] for one in engine._sequences.decoding)
    assert [len(keys) for keys in groups] == [8, 8]
    finish(engine, [], PICTURES)


@pytest.mark.parametrize(("others", "every", "first"), [(8, 2.0, 100.0), (8, 100.0, 2.0), (7, 2.0, 100.0)])
def test_many_begin_together(
    rows: tuple[VisionBackend, list[Prepared]],
    monkeypatch: pytest.MonkeyPatch,
    others: int,
    every: float,
    first: float,
) -> None:
    """Nobody reads yet, so eight wait for eight others, though not for ever; they do not wait for seven."""
    monkeypatch.setattr(scheduler, "DECODE_EVERY", every)
    monkeypatch.setattr(scheduler, "FIRST_STEP_AFTER", first)
    # An image a unit.
    monkeypatch.setattr("worker.engine.time_budget.PAUSE", 0.0)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    count = engine._scheduler.prefilled
    monkeypatch.setattr(engine._scheduler, "prefilled", lambda group, _: count(group, 1.0))
    for number in range(8 + others):
        engine.admit(str(number), prepared[number], urgent=True)
    while engine.decoding < 8:
        assert engine.step() == []
    while not tokens(engine):
        assert engine.step() == []
    assert engine.decoding == (8 if first == 2.0 or others == 7 else 16)
    finish(engine, [], PICTURES[: 8 + others])


def test_urgent_sequences_decode_while_others_are_prefilled(
    rows: tuple[VisionBackend, list[Prepared]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prefill of those that come later leaves the first one a step after each three units: its stream does not stop."""
    monkeypatch.setattr(scheduler, "DECODE_EVERY", 3.0)
    # An image a unit.
    monkeypatch.setattr("worker.engine.time_budget.PAUSE", 0.0)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    count = engine._scheduler.prefilled
    monkeypatch.setattr(engine._scheduler, "prefilled", lambda group, _: count(group, 1.0))
    engine.admit("0", prepared[0], urgent=True)
    while engine.decoding < 1 or tokens(engine) < 1:
        engine.step()
    for number in range(1, 10):
        engine.admit(str(number), prepared[number], urgent=True)
    seen = []
    for _ in range(9):
        assert engine.step() == []
        seen.append(tokens(engine))
    assert engine.decoding == 1
    assert seen == [1, 1, 2, 2, 2, 3, 3, 3, 4]
    finish(engine, [], PICTURES[:10])


def test_an_urgent_sequence_waits_for_those_that_are_being_prepared(
    rows: tuple[VisionBackend, list[Prepared]], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins with them, or at once if none comes."""
    monkeypatch.setattr(waiting_queue, "URGENT_WAIT", math.inf)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    for number in range(3):
        engine.admit(str(number), prepared[number], urgent=True)
        assert engine.step(urgent_coming=True) == []
    assert groups == []
    assert not engine.working
    outcomes = engine.step(urgent_coming=False)
    assert groups == [["0", "1", "2"]]
    finish(engine, outcomes, PICTURES[:3])


def test_a_group_does_not_wait_longer_than_it_may(
    rows: tuple[VisionBackend, list[Prepared]], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the wait is over, those that are there begin, also if others never come."""
    monkeypatch.setattr(waiting_queue, "URGENT_WAIT", 0.0)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    engine.admit("0", prepared[0], urgent=True)
    outcomes = engine.step(coming=True, urgent_coming=True)
    assert groups == [["0"]]
    finish(engine, outcomes, PICTURES[:1])


def test_a_full_group_does_not_wait(
    rows: tuple[VisionBackend, list[Prepared]], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight begin although a ninth is coming."""
    monkeypatch.setattr(waiting_queue, "URGENT_WAIT", math.inf)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    for number in range(8):
        engine.admit(str(number), prepared[number], urgent=True)
    outcomes = engine.step(urgent_coming=True)
    assert [len(keys) for keys in groups] == [8]
    finish(engine, outcomes, PICTURES[:8])


def test_no_bulk_work_is_begun_while_urgent_sequences_wait_for_others(
    rows: tuple[VisionBackend, list[Prepared]], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bulk work that is begun then would delay them."""
    monkeypatch.setattr(waiting_queue, "URGENT_WAIT", math.inf)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    engine.admit("0", prepared[0])
    engine.admit("1", prepared[1], urgent=True)
    for _ in range(3):
        assert engine.step(urgent_coming=True) == []
    assert groups == []
    outcomes = engine.step()
    assert groups == [["1"]]
    finish(engine, outcomes, PICTURES[:2])


def test_an_urgent_sequence_beside_bulk_work_decodes_at_every_step(
    rows: tuple[VisionBackend, list[Prepared]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps that urgent prefill saves are not taken from a reader beside a folder."""
    monkeypatch.setattr(scheduler, "DECODE_EVERY", math.inf)
    backend, prepared = rows
    engine = Engine(backend, slots=32)
    engine.admit("0", prepared[0], urgent=True)
    while engine.decoding < 1:
        engine.step()
    before = tokens(engine)
    for number in range(1, 9):
        engine.admit(str(number), prepared[number])
    for step in range(1, 5):
        assert engine.step() == []
        assert tokens(engine) == before + step
    finish(engine, [], PICTURES[:9])
