"""Where the time of an image goes: a table, an object for programs, bars."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TypedDict

import click
from rich.console import Console
from rich.table import Table

from cli.benchmark.chart import Bar
from cli.benchmark.contest import Run
from cli.benchmark.stages.advice import advise
from cli.benchmark.stages.probe_task import Findings

#: The stages by their names for people, and the things that each is counted in.
_TITLES = {
    "vision": ("vision", "images"),
    "prefill": ("prefill", "tokens"),
    "decode": ("decode", "tokens"),
    "wait": ("waiting for pictures", ""),
    "rest": ("the rest", ""),
}


class StageRow(TypedDict):
    """One stage in the run of captionq."""

    #: Share of the time from the submission to the last answer.
    share: float
    seconds_per_image: float
    #: Images or tokens for each second that the device spends on this stage; None: the stage has no measure.
    per_device_second: float | None


class StageReport:
    """The stages of captionq's runs, and the advice that follows from them and from the probe."""

    def __init__(self, runs: Sequence[Run], findings: Findings, threads: int) -> None:
        """Args:
        runs: The runs of captionq.
        findings: Those of the probe.
        threads: Number of threads that decode pictures.
        """
        self._findings = findings
        self._threads = threads
        self._rows = [_rows_of(run) for run in runs]
        self.rows = {name: _median([rows[name] for rows in self._rows]) for name in self._rows[0]}
        self.preprocess_seconds = statistics.median((run.preprocess_seconds or 0.0) / len(run.texts) for run in runs)
        self.advice = advise(findings, {name: row["share"] for name, row in self.rows.items()})

    def show(self) -> None:
        """Print the table and the advice."""
        table = Table(box=None, pad_edge=False)
        for heading in ("where the time goes", "share", "ms an image", "a device second"):
            table.add_column(heading, justify="left" if heading.startswith("where") else "right", no_wrap=True)
        for name, row in self.rows.items():
            title, measure = _TITLES[name]
            rate = row["per_device_second"]
            table.add_row(
                title,
                f"{row['share']:.0%}",
                f"{row['seconds_per_image'] * 1000:.1f}",
                "" if rate is None else f"{rate:,.0f} {measure}" if rate >= 10 else f"{rate:.2f} {measure}",
            )
        click.echo()
        Console(highlight=False).print(table)
        click.echo(
            f"Pictures are decoded in {self.preprocess_seconds * 1000:.1f} ms of {self._threads} threads beside the model."
        )
        click.echo()
        for line in self.advice:
            click.echo(click.wrap_text(line, width=80, initial_indent="- ", subsequent_indent="  "))

    def as_json(self) -> dict[str, object]:
        """Return all of it for programs."""
        return {
            "stages": self.rows,
            "preprocess_seconds_per_image": self.preprocess_seconds,
            "probe": {**self._findings, "answers": len(self._findings["answers"])},
            "advice": self.advice,
        }

    def bars(self) -> list[Bar]:
        """Return a bar for each stage."""
        return [
            Bar(
                _TITLES[name][0],
                row["seconds_per_image"] * 1000,
                f"{row['seconds_per_image'] * 1000:.1f} ms, {row['share']:.0%}",
                "limit" if name in ("wait", "rest") else "ours",
            )
            for name, row in self.rows.items()
        ]


def _rows_of(run: Run) -> dict[str, StageRow]:
    images = len(run.texts)
    rows = {}
    for name, stage in run.stages.items():
        seconds, amount = stage["seconds"], stage["amount"]
        rate = amount / seconds if seconds > 0 and _TITLES[name][1] else None
        rows[name] = StageRow(share=seconds / run.seconds, seconds_per_image=seconds / images, per_device_second=rate)
    # The worker's figures begin and end a moment before and after the run's own clock.
    rest = max(0.0, run.seconds - sum(stage["seconds"] for stage in run.stages.values()))
    rows["rest"] = StageRow(share=rest / run.seconds, seconds_per_image=rest / images, per_device_second=None)
    return rows


def _median(rows: Sequence[StageRow]) -> StageRow:
    rates = [rate for row in rows if (rate := row["per_device_second"]) is not None]
    return StageRow(
        share=statistics.median(row["share"] for row in rows),
        seconds_per_image=statistics.median(row["seconds_per_image"] for row in rows),
        per_device_second=statistics.median(rates) if rates else None,
    )
