"""The whole benchmark: the latency, then loop, captionq and floor in turns. Writes the record and a chart.

    python -m bench.run MODEL PICTURES [--rounds 3] [--slots 32] [--preload LIBRARY] [--record bench/result.json]

The chart is beside the record, with the ending `.png`. bench/README.md explains the columns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.floor import run_floor
from bench.latency import run_latency
from bench.machine import blas, processor
from bench.tasks import DRAFT_PIXELS, FULL_PIXELS, ONE_THREAD, make_task, parser
from cli.benchmark.chart import Bar, draw_bars
from cli.benchmark.contest import Run, Task
from cli.benchmark.loop import run_loop
from cli.benchmark.product import run_product
from cli.benchmark.result import environment
from cli.benchmark.rounds import all_wrong, interleaved, median_of, summarise

Rounds = Sequence[Mapping[str, Run]]
Stages = Mapping[str, float]

#: Contestants → their names in the chart.
TITLES = {"loop": "plain loop", "full": "captionq, full pixels", "draft": "captionq, JPEG draft"}


def main() -> None:
    """Parse the arguments, run everything, write record and chart."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--record", type=Path, default=Path("bench/result.json"))
    arguments = made.parse_args()
    with TemporaryDirectory() as folder:
        record = run(arguments, Path(folder))
    arguments.record.write_text(json.dumps(record, indent=1) + "\n")
    draw(record, arguments.record.with_suffix(".png"))
    print(json.dumps({name: record[name] for name in ("summary", "floor", "outside", "latency_ratio")}, indent=1))


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything; return the record."""
    full = make_task(arguments, folder, FULL_PIXELS)
    draft = make_task(arguments, folder, DRAFT_PIXELS)
    _note(0, "latency")
    latency = run_latency(full)
    rounds, stages = _rounds(full, draft, folder, arguments.rounds)
    _note(0, "right answers for the draft's pixels")
    expected = {"loop": rounds[0]["loop"], "full": rounds[0]["loop"]}
    expected["draft"] = run_loop(draft, folder, same_pixels=True)
    wrong = {name: all_wrong(rounds, name, expected[name]) for name in TITLES}
    return {
        "environment": {**environment(), **_limits(arguments)},
        "images": len(full.images),
        "max_tokens": full.max_tokens,
        "slots": arguments.slots,
        "summary": {name: {**summarise(rounds, name, "loop"), "wrong_rows": len(wrong[name])} for name in TITLES},
        "outside": {name: median_of(rounds, name, lambda run: run.outside or 0.0) for name in ("full", "draft")},
        "floor": _floor(rounds, stages),
        "latency_ratio": latency["ratio"],
        "wrong_rows": wrong,
        "different_answers": len(set(expected["full"].texts)),
        "latency": latency,
        "stages": list(stages),
        "rounds": [{name: one.as_json() for name, one in each.items()} for each in rounds],
    }


def _rounds(full: Task, draft: Task, folder: Path, count: int) -> tuple[Rounds, list[Stages]]:
    """Return the runs and the stage times of every round. The floor takes its turn like any contestant."""
    stages: list[Stages] = []

    def floor() -> None:
        stages.append(run_floor(full, folder))

    done = interleaved(
        {
            "loop": lambda: run_loop(full, folder, same_pixels=False),
            "full": lambda: run_product(full),
            "draft": lambda: run_product(draft),
            "floor": floor,
        },
        count,
        _note,
    )
    return [{name: one for name, one in each.items() if one is not None} for each in done], stages


def _floor(rounds: Rounds, stages: Sequence[Stages]) -> dict[str, float]:
    """Return medians of the stages (seconds per image) and floors (images/s), and each run's share of its round's floor."""
    medians = {name: statistics.median(one[name] for one in stages) for name in stages[0]}
    pairs = list(zip(rounds, stages, strict=True))
    for name in TITLES:
        medians[f"{name}_share"] = statistics.median(each[name].rate / one["floor"] for each, one in pairs)
    return medians


def _limits(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the processor, and the share of it that the processes had."""
    # Only Linux can limit a process to some of the cores.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "processor": processor(),
        "cores_used": cores,
        "threads": ONE_THREAD,
        "blas": blas(arguments.preload),
    }


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Write the chart: the speeds, and the floor as their limit."""
    bars = []
    for name, title in TITLES.items():
        row = record["summary"][name]
        note = f"{row['images_per_second']:.2f} images/s"
        note += "" if name == "loop" else f", {row['rate_ratio']:.2f} x the loop"
        bars.append(Bar(title, row["images_per_second"], note, "plain" if name == "loop" else "ours"))
    floor = record["floor"]["floor"]
    bars.append(Bar("the model only", floor, f"{floor:.2f} images/s", "limit"))
    limits = record["environment"]
    subtitle = f"{record['images']} photo-like JPEGs, {record['max_tokens']} tokens each, {record['slots']} slots"
    footer = [
        # Pillow's font has neither × nor ².
        f"38 M random weights (qwen2_vl, 224 x 224 px), {limits['device']}, {limits['cores_used']} cores of "
        f"{limits['processor']}, BLAS: {limits['blas']}, one thread.",
        f"Medians of {len(record['rounds'])} rounds in turns. The model only: vision, prefill and decoding in batches, "
        "nothing between them.",
    ]
    draw_bars(path, "Images a second", subtitle, bars, footer)


def _note(number: int, name: str) -> None:
    print(f"round {number + 1}: {name} …", file=sys.stderr)


if __name__ == "__main__":
    main()
