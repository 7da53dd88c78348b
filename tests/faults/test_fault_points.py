"""Each fault point of the product is reached, and a death, a failure or a delay there loses nothing and doubles nothing."""

from __future__ import annotations

import ast
import signal
from collections import Counter
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.faults import VARIABLE, Fault, FaultPoint, Plan
from tests.faults.life_checks import assert_all_is_done, check_database, forget_waits, is_done, receiver
from tests.faults.scenario import FAILED, Life
from tests.faults.seeds import LONG, of_this_part
from tests.faults.tally import JOBS, Tally, tally

__all__ = ["tally"]

pytestmark = pytest.mark.timeout(3600 if LONG else 300)

ROOT = Path(__file__).parents[2]
KINDS = ("kill", "fail", "delay")
#: Turns after the fault within which everything has ended: a retry may have to wait for its backoff.
TURNS = 8
ALL = [(point, kind, at) for point in FaultPoint for kind in KINDS for at in (1, 2, 3)]
#: In the gate some points, with one fault each.
CHOSEN = [(point, KINDS[number % 2], 1 + number % 2) for number, point in enumerate(list(FaultPoint)[::3])]


def test_each_point_is_passed_by_the_product() -> None:
    """A point that no code passes, or that code names without an entry here, is found."""
    passed = Counter(
        node.args[0].attr
        for floor in ("jobs", "worker", "api", "cli")
        for path in (ROOT / floor).rglob("*.py")
        if "point(FaultPoint." in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "point"
        if isinstance(node.args[0], ast.Attribute)
    )
    assert set(passed) == {point.name for point in FaultPoint}


def test_each_point_is_reached(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """Sometimes each of them is: else the tests below would break nothing."""
    with receiver() as (hook, _):
        life = Life(settings, tmp_path / "pictures", hook)
        assert life.turn({VARIABLE: Plan({}, notes=tmp_path).as_json()}) == 0
    assert {path.name.removeprefix("reached-") for path in tmp_path.glob("reached-*")} == set(FaultPoint)


def test_without_the_variable_nothing_happens(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """The points are in the product, and do nothing there."""
    with receiver() as (hook, arrived):
        life = Life(settings, tmp_path / "pictures", hook)
        assert life.turn() == 0
        assert_all_is_done(life, connection, arrived)


@pytest.mark.parametrize(("point", "kind", "at"), of_this_part(ALL) if LONG else CHOSEN)
def test_a_fault_at_a_point_loses_and_doubles_nothing(
    settings: Settings, connection: Redis, tmp_path: Path, tally: Tally, point: FaultPoint, kind: str, at: int
) -> None:
    """The clients send again, the command and the worker are started again, and all is as without the fault."""
    plan = Plan({point: Fault(kind, at)}, notes=tmp_path)
    with receiver() as (hook, arrived):
        life = Life(settings, tmp_path / "pictures", hook)
        status = life.turn({VARIABLE: plan.as_json()})
        is_made = (tmp_path / "faults").exists()
        tally.count(is_made=is_made)
        if not is_made:
            pytest.skip(f"{point} is passed less than {at} times")
        assert (tmp_path / "faults").read_text() == f"{kind} {point}\n"
        assert status == -signal.SIGKILL if kind == "kill" else status in (0, FAILED)
        check_database(life.settings)
        for _ in range(TURNS):
            forget_waits(life, connection)
            if life.turn() == 0 and is_done(life.settings):
                break
        assert_all_is_done(life, connection, arrived)
        tally.ended(JOBS)
