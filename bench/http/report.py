"""The summary of all rounds, as a table and as a chart."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.http.servers import SERVERS
from cli.benchmark.chart import Bar, draw_bars

#: Contestants that are no peers of captionq's server.
_OURS = ("loop", "floor", "folder", "captionq", "sustained")

Rounds = Sequence[Mapping[str, Mapping[str, Any]]]


def summary(rounds: Rounds) -> dict[str, Any]:
    """Return medians over the rounds by contestant and by requests at a time; ratios are taken within each round.

    `wrong`: over all rounds. `rate_ratio`, `cpu_ratio`: to the loop. `floor_share`: of the floor of its round. `best_peer_ratio`
    and `best_peer_cpu`: captionq's rate, and its CPU seconds an image, to those of the best peer in the same burst.
    """
    found: dict[str, Any] = {}
    for name in rounds[0]:
        if name == "floor":
            found[name] = {key: _median(one[name][key] for one in rounds) for key in rounds[0][name]}
        elif name in ("loop", "folder"):
            found[name] = _row(rounds, [one[name] for one in rounds], None)
        else:
            found[name] = {
                level: _row(rounds, [one[name][level] for one in rounds], level) for level in rounds[0][name]
            }
    if "sustained" in found:
        (level,) = found["sustained"]
        pairs = [(one["sustained"][level], one["folder"]) for one in rounds]
        row = found["sustained"][level]
        row["folder_ratio"] = _median(many["images_per_second"] / folder["images_per_second"] for many, folder in pairs)
        row["folder_cpu"] = _median(many["cpu_seconds"] / folder["cpu_seconds"] for many, folder in pairs)
    for level, row in found.get("captionq", {}).items():
        row |= _beside_peers(rounds, level)
    return found


def table(found: Mapping[str, Any]) -> str:
    """Return the summary as a table of text."""
    heading = (
        "",
        "at once",
        "images/s",
        "x loop",
        "CPU x loop",
        "% floor",
        "1st p50",
        "1st p95",
        "all p50",
        "pause p95",
        "wrong",
    )
    lines = ["".join(f"{one:>11}" for one in heading)]
    for name, rows in found.items():
        if name != "floor":
            levels = {"": rows} if "images_per_second" in rows else rows
            lines += [_line(name, level, row) for level, row in levels.items()]
    for level, row in found.get("captionq", {}).items():
        if "best_peer_ratio" in row:
            lines.append(
                f"{level} at once: {row['best_peer_ratio']:.2f} x the best peer (CPU {row['best_peer_cpu']:.2f})"
            )
    for level, row in found.get("sustained", {}).items():
        lines.append(f"{level} at once: {row['folder_ratio']:.2f} x the folder (CPU {row['folder_cpu']:.2f})")
    return "\n".join(lines)


def chart(record: Mapping[str, Any], path: Path) -> None:
    """Draw the speed of each server at the largest burst, and the floor as the limit."""
    found, level = record["summary"], max(record["bursts"], key=int)
    bars = [Bar("plain loop", found["loop"]["images_per_second"], f"{found['loop']['images_per_second']:.2f}", "plain")]
    for name, server in SERVERS.items():
        if name in found:
            row = found[name][str(level)]
            note = f"{row['images_per_second']:.2f}, {row['rate_ratio']:.2f} x the loop"
            bars.append(Bar(server.title, row["images_per_second"], note, "ours" if name == "captionq" else "plain"))
    floor = found["floor"]["floor"]
    bars.append(Bar("the model only", floor, f"{floor:.2f}", "limit"))
    count, limits = record["bursts"][level], record["environment"]
    subtitle = f"{count} requests, {level} at a time, a picture each, {record['max_tokens']} tokens, over OpenAI's chat endpoint"
    footer = [
        f"38 M random weights (qwen2_vl, 224 x 224 px) on {limits['processor']}, one core; "
        f"BLAS: {limits['blas']}, one thread.",
        f"Medians of {len(record['rounds'])} rounds in turns.",
    ]
    draw_bars(path, "Images a second over HTTP", subtitle, bars, footer)


def _row(rounds: Rounds, rows: Sequence[Mapping[str, Any]], level: str | None) -> dict[str, Any]:
    row = {key: _median(one[key] for one in rows) for key in rows[0] if key != "wrong"}
    pairs = list(zip(rows, rounds, strict=True))
    row["rate_ratio"] = _median(one["images_per_second"] / each["loop"]["images_per_second"] for one, each in pairs)
    row["cpu_ratio"] = _median(one["cpu_seconds"] / each["loop"]["cpu_seconds"] for one, each in pairs)
    row["floor_share"] = _median(one["images_per_second"] / each["floor"]["floor"] for one, each in pairs)
    row["wrong"] = sum(one["wrong"] for one in rows)
    return row


def _beside_peers(rounds: Rounds, level: str) -> dict[str, float]:
    peers = [name for name in rounds[0] if name not in _OURS]
    if not peers:
        return {}
    rates, costs = [], []
    for each in rounds:
        ours = each["captionq"][level]
        rates.append(ours["images_per_second"] / max(each[name][level]["images_per_second"] for name in peers))
        costs.append(ours["cpu_seconds"] / min(each[name][level]["cpu_seconds"] for name in peers))
    return {"best_peer_ratio": _median(rates), "best_peer_cpu": _median(costs)}


def _line(name: str, level: str, row: Mapping[str, Any]) -> str:
    cells = [name, level, f"{row['images_per_second']:.2f}", f"{row['rate_ratio']:.2f}", f"{row['cpu_ratio']:.2f}"]
    cells.append(f"{row['floor_share']:.0%}")
    for key in ("first_token_p50", "first_token_p95", "completion_p50", "pause_p95"):
        cells.append(f"{row[key]:.2f}" if key in row else "")
    return "".join(f"{one:>11}" for one in (*cells, str(row["wrong"])))


def _median(values: Any) -> float:
    return float(statistics.median(values))
