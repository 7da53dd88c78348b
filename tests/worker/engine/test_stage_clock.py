"""The stage clock: what the engine counts while it works."""

from __future__ import annotations

import time

from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine.engine import Engine
from worker.engine.stage_clock import Stage, StageClock
from worker.models.backends import VisionBackend
from worker.models.loader import load


def test_every_image_prompt_and_token_is_counted_in_its_stage() -> None:
    """Images that are remembered are not vision, and no second is counted twice."""
    backend = VisionBackend(load("demo"))
    images = [scene.image for scene in draw_many(5)]
    prepared = {
        str(at): backend.prepare(ask("What is this?", max_tokens=3), [image]) for at, image in enumerate(images)
    }
    for encoded in (5, 0):
        begun = time.perf_counter()
        engine = Engine(backend, slots=4)
        outcomes = run(engine, prepared)
        totals = engine.figures.stages
        assert sum(stage.seconds for stage in totals.values()) <= time.perf_counter() - begun
        assert totals[Stage.VISION].amount == encoded
        # Each prompt is computed once, but for the beginning that it shares with others, and padding.
        prompts = sum(len(one.ids) for one in prepared.values())
        assert 0.5 * prompts < totals[Stage.PREFILL].amount < 1.5 * prompts
        # A stop token is decoded too.
        tokens = sum(len(outcome.token_ids) for outcome in outcomes.values())
        assert tokens <= totals[Stage.DECODE].amount <= tokens + len(outcomes)
        assert 0 < totals[Stage.DECODE].units < totals[Stage.DECODE].amount
        assert all(totals[stage].seconds > 0 for stage in (Stage.PREFILL, Stage.DECODE))
        assert totals[Stage.WAIT].units == 0


def test_time_without_work_belongs_to_no_stage() -> None:
    """Seconds from the end of the last answer to the next request are nobody's."""
    clock = StageClock()
    clock._last -= 1000.0
    clock.restart()
    clock.ended(Stage.DECODE, 2)
    assert clock.totals[Stage.DECODE].seconds < 1000.0
    clock._last -= 1000.0
    with clock.waiting():
        pass
    assert clock.totals[Stage.WAIT].seconds < 1000.0
    assert (clock.totals[Stage.DECODE].amount, clock.totals[Stage.DECODE].units) == (2, 1)
