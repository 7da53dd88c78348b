"""The result of `captionq bench`: a table, an object for programs, a chart."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.benchmark.chart import Bar, Bars, draw_charts
from cli.benchmark.contest import Run, Task
from cli.benchmark.rounds import all_wrong, median_of, summarise
from cli.benchmark.stages.probe_task import Findings
from cli.benchmark.stages.report import StageReport
from jobs.configuration.settings import Settings
from worker.models.device import device_name

_TITLES = {"loop": "plain loop", "captionq": "captionq"}


class Result:
    """The rounds of one comparison, and their summary."""

    def __init__(self, task: Task, settings: Settings, rounds: Sequence[Mapping[str, Run]]) -> None:
        self._task = task
        self._settings = settings
        self._rounds = rounds
        self._summary = {name: summarise(rounds, name, "loop") for name in _TITLES}
        #: Where captionq's time goes; None: not measured.
        self.stages: StageReport | None = None
        #: The answers of the loop's first round are the expected ones: it decodes one sequence at a time.
        self._wrong = {name: all_wrong(rounds, name, rounds[0]["loop"]) for name in _TITLES}
        self._outside = median_of(rounds, "captionq", lambda run: run.outside or 0.0)

    def show(self, *, as_json: bool) -> None:
        """Print the table, or JSON."""
        if as_json:
            click.echo(json.dumps(self.as_json(), indent=1, ensure_ascii=False))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("", "images/s", "× loop", "memory", "× loop", "differ"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for name, title in _TITLES.items():
            row = self._summary[name]
            table.add_row(
                title,
                f"{row['images_per_second']:.2f}",
                f"{row['rate_ratio']:.2f}",
                f"{row['max_rss'] / 1e6:,.0f} MB",
                f"{row['rss_ratio']:.2f}",
                f"{len(self._wrong[name])} of {len(self._task.images)}",
            )
        Console(highlight=False).print(table)
        for line in self._notes():
            click.echo(line)
        if self.stages is not None:
            self.stages.show()

    def add_stages(self, findings: Findings) -> None:
        """Add where captionq's time goes, from its runs and from the findings of the probe."""
        runs = [one["captionq"] for one in self._rounds]
        self.stages = StageReport(runs, findings, self._settings.preprocess_threads)

    def as_json(self) -> dict[str, object]:
        """Return summary and raw values."""
        return {
            "environment": environment(),
            "model": self._task.model,
            "images": len(self._task.images),
            "max_tokens": self._task.max_tokens,
            "settings": settings_of_note(self._settings),
            "summary": self._summary,
            "outside": self._outside,
            "wrong_rows": self._wrong,
            "time": None if self.stages is None else self.stages.as_json(),
            "rounds": [{name: run.as_json() for name, run in one.items()} for one in self._rounds],
        }

    def draw(self, path: Path) -> None:
        """Write the speeds and the stages to a PNG file, as bars."""
        bars = []
        for name, title in _TITLES.items():
            row = self._summary[name]
            note = f"{row['images_per_second']:.2f} images/s"
            # Pillow's font has no ×.
            note += "" if name == "loop" else f", {row['rate_ratio']:.2f} x the loop"
            bars.append(Bar(title, row["images_per_second"], note, "plain" if name == "loop" else "ours"))
        subtitle = f"{self._what()}; medians of {len(self._rounds)} rounds in turns"
        charts = [Bars("Images a second", subtitle, bars, self._notes()[1:2])]
        if self.stages is not None:
            charts.append(Bars("Where the time of an image goes", "captionq; ms an image", self.stages.bars()))
        draw_charts(path, charts)

    def _what(self) -> str:
        return f"{len(self._task.images)} images, {self._task.max_tokens} tokens, {Path(self._task.model).name}"

    def _notes(self) -> list[str]:
        return [
            f"{self._what()}; medians of {len(self._rounds)} rounds in turns, the same pixels for both.",
            f"captionq: {self._settings.slots} slots; {self._outside:.1%} of its time outside the model. "
            "memory: peak resident.",
            "differ: answers unlike those of the loop, which decodes one picture at a time.",
        ]


def environment() -> dict[str, object]:
    """Return everything but the code that the figures depend on."""
    names = ("captionq", "mlx", "mlx-vlm", "mlx-lm", "pillow", "rq")
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "device": device_name(),
        "versions": {name: version(name) for name in names},
    }


def settings_of_note(settings: Settings) -> dict[str, object]:
    """Return the settings that change the speed."""
    return settings.model_dump(include={"slots", "max_pixels", "jpeg_draft", "preprocess_threads", "prefill_group"})
