"""Settings that have helped others on Metal, each beside the settings as they are. None is claimed to help: this measures it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from cli.benchmark.contest import Task
from cli.benchmark.result import environment
from cli.benchmark.round_lines import RoundLines
from cli.benchmark.rounds import interleaved
from cli.benchmark.stages.probe_task import Findings, run_probe

_AS_SET = "as set"


@dataclass(frozen=True)
class Switch:
    """A setting that is off by default."""

    title: str
    variable: str
    value: str
    #: Whether the setting means nothing to a device other than Metal.
    metal_only: bool = False


SWITCHES = (
    Switch("clear after load", "CAPTIONQ_CLEAR_AFTER_LOAD", "true"),
    Switch("half precision", "CAPTIONQ_HALF_PRECISION_VISION", "true"),
    Switch("2000 ops", "CAPTIONQ_METAL_OPS_PER_BUFFER", "2000", metal_only=True),
)


class SwitchComparison:
    """Rounds of the settings as they are and of each switch, in turns."""

    def __init__(self, task: Task, rounds: int) -> None:
        self._task = task
        names = {_AS_SET: {}, **{switch.title: {switch.variable: switch.value} for switch in SWITCHES}}

        def contestant(settings: Mapping[str, str]) -> Callable[[], Findings]:
            return lambda: run_probe(task, variations=False, environment=settings)

        lines = RoundLines({name: name for name in names}, rounds)
        self._rounds = interleaved({name: contestant(names[name]) for name in names}, rounds, lines.begin)
        self.rows = {name: _summary(self._rounds, name) for name in names}

    def show(self, *, as_json: bool) -> None:
        """Print the table, or JSON."""
        if as_json:
            click.echo(json.dumps(self.as_json(), indent=1, ensure_ascii=False))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("", "images/s", "×", "vision", "prefill", "decode", "first", "MB", "differ"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for name, row in self.rows.items():
            table.add_row(
                name,
                f"{row['images_per_second']:.2f}",
                f"{row['rate_ratio']:.2f}",
                *(f"{row[stage] * 1000:.1f}" for stage in ("vision", "prefill", "decode")),
                f"{row['first_seconds']:.2f}",
                f"{row['peak_memory'] / 1e6:,.0f}",
                f"{row['differ']:.0f}",
            )
        Console(highlight=False).print(table)
        for line in self._notes():
            click.echo(line)

    def as_json(self) -> dict[str, object]:
        """Return summary and raw values."""
        variables = {switch.title: f"{switch.variable}={switch.value}" for switch in SWITCHES}
        return {
            "environment": environment(),
            "model": self._task.model,
            "metal": self._metal,
            "switches": variables,
            "summary": self.rows,
            "notes": self._notes(),
            "rounds": [
                {name: {**one, "answers": len(one["answers"])} for name, one in found.items()} for found in self._rounds
            ],
        }

    @property
    def _metal(self) -> bool:
        return self._rounds[0][_AS_SET]["metal"]

    def _notes(self) -> list[str]:
        notes = [
            "×: images/s beside the settings as they are. vision, prefill, decode: ms an",
            "image. first: seconds for the first pictures after the load. MB: peak of mlx.",
            "differ: answers unlike those as set.",
            *(f"{switch.title}: {switch.variable}={switch.value}" for switch in SWITCHES),
        ]
        if not self._metal:
            names = ", ".join(switch.title for switch in SWITCHES if switch.metal_only)
            notes.append(f"mlx has no Metal here: {names} has no effect, and weights are float32.")
        return notes


def _summary(rounds: Sequence[Mapping[str, Findings]], name: str) -> dict[str, float]:
    """Return a contestant's medians over the rounds, and the median of its ratios to the settings as they are."""

    def rate(findings: Findings) -> float:
        return findings["as_set"]["images"] / findings["as_set"]["seconds"]

    def median(value: Callable[[Findings], float]) -> float:
        return statistics.median(value(one[name]) for one in rounds)

    def stage(which: str) -> float:
        return median(lambda one: one["as_set"]["stages"][which]["seconds"] / one["as_set"]["images"])

    expected = rounds[0][_AS_SET]["answers"]
    wrong = {at for one in rounds for at, ids in enumerate(one[name]["answers"]) if ids != expected[at]}
    return {
        "images_per_second": median(rate),
        "rate_ratio": statistics.median(rate(one[name]) / rate(one[_AS_SET]) for one in rounds),
        "vision": stage("vision"),
        "prefill": stage("prefill"),
        "decode": stage("decode"),
        "first_seconds": median(lambda one: one["first_seconds"]),
        "peak_memory": median(lambda one: one["peak_memory"]),
        "differ": len(wrong),
    }
