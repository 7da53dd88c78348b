"""Where the time of an image goes, and the advice: it follows from what was measured, on a device of any kind."""

from __future__ import annotations

import pytest

from cli.benchmark.contest import Run
from cli.benchmark.stage_totals import Stages, StageSeconds, between, stages_in
from cli.benchmark.stages.advice import advise
from cli.benchmark.stages.probe_task import Findings, Measured
from cli.benchmark.stages.report import StageReport
from worker.dispatch.metrics import Metrics
from worker.engine.figures import Figures
from worker.engine.stage_clock import Stage, StageTotals


def stage(seconds: float, amount: float = 10, units: float = 5) -> StageSeconds:
    return StageSeconds(seconds=seconds, amount=amount, units=units)


def measured(vision: float, prefill: float, decode: float) -> Measured:
    """Make a measurement of 10 images by the seconds of its stages."""
    stages = {"vision": stage(vision), "prefill": stage(prefill), "decode": stage(decode), "wait": stage(0.0)}
    return Measured(images=10, seconds=vision + prefill + decode, stages=stages)


def findings(single: Measured, half: Measured, steps: dict[str, float]) -> Findings:
    return Findings(
        metal=True,
        batching="together",
        slots=4,
        group=8,
        max_pixels=1_000_000,
        first_seconds=1.0,
        peak_memory=1,
        answers=[[1]] * 10,
        as_set=measured(4.0, 3.0, 1.0),
        half_pixels=half,
        single=single,
        step_seconds=steps,
    )


#: A device on which vision and prefill take as long in groups, and which decodes four as fast as one.
LIKE_METAL = findings(measured(4.1, 3.0, 1.0), measured(2.0, 1.5, 1.0), {"1": 0.010, "2": 0.010, "4": 0.011})
#: A device on which groups gain much, pixels nothing, and a batch of four takes four times as long.
OTHERWISE = findings(measured(8.0, 5.0, 1.0), measured(4.0, 3.0, 1.0), {"1": 0.010, "2": 0.020, "4": 0.040})


def run_of(stages: Stages) -> Run:
    return Run(10.0, 1.0, ("x",) * 10, tokens=80, peak_memory=1, max_rss=1, stages=stages, preprocess_seconds=0.5)


def test_the_advice_is_that_of_the_device() -> None:
    """The same sentences would be wrong on the other device."""
    shares = {"vision": 0.4, "prefill": 0.3, "decode": 0.2, "wait": 0.0}
    pixels, groups, slots, questions = advise(LIKE_METAL, shares)
    assert "CAPTIONQ_MAX_PIXELS=500000" in pixels
    assert "1.78 times as many" in pixels
    assert "CAPTIONQ_PREFILL_GROUP=1" in groups
    assert "CAPTIONQ_SLOTS=8 may gain up to 9%" in slots
    assert "CAPTIONQ_FEATURE_CACHE" in questions
    pixels, groups, slots, waiting = advise(OTHERWISE, {"vision": 0.1, "decode": 0.2, "wait": 0.1})
    assert "gains nothing" in pixels
    assert "Keep CAPTIONQ_PREFILL_GROUP at 8" in groups
    assert "CAPTIONQ_SLOTS=1 is as fast" in slots
    assert "CAPTIONQ_PREPROCESS_THREADS" in waiting


def test_nothing_is_said_about_what_was_not_measured() -> None:
    """A model that runs alone has neither groups nor batches."""
    alone = Findings(**{**LIKE_METAL, "single": None, "step_seconds": {"1": 0.01}})
    assert [line.split(":")[0] for line in advise(alone, {})] == ["Pixels"]


def test_shares_add_up_and_the_table_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time that no stage has is the rest."""
    monkeypatch.setenv("COLUMNS", "80")
    stages = {"vision": stage(4.0), "prefill": stage(3.0, 9000), "decode": stage(1.0, 80), "wait": stage(0.5, 0)}
    report = StageReport([run_of(stages)], LIKE_METAL, threads=2)
    assert {name: row["share"] for name, row in report.rows.items()} == pytest.approx(
        {"vision": 0.4, "prefill": 0.3, "decode": 0.1, "wait": 0.05, "rest": 0.15}
    )
    assert report.rows["prefill"]["per_device_second"] == 3000
    assert report.rows["vision"]["seconds_per_image"] == 0.4
    report.show()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("3,000 tokens" in line for line in lines)
    assert [bar.value for bar in report.bars()] == pytest.approx([400, 300, 100, 50, 150])


def test_stages_are_read_from_what_a_worker_publishes() -> None:
    """The names of the figures are the worker's."""
    metrics = Metrics("a worker")
    totals = {one: StageTotals(seconds=1.5, amount=7, units=2) for one in Stage}
    before = stages_in(metrics.text(rows=0, slots=1, figures=Figures()))
    after = stages_in(metrics.text(rows=0, slots=1, figures=Figures(stages=totals)))
    assert before == {}
    assert between(before, after) == {str(one): stage(1.5, 7, 2) for one in Stage}
    assert between(after, after)["vision"] == stage(0.0, 0, 0)
