"""The way from command to text for one picture, when nothing runs yet, as JSON.

    python -m bench.start [--rounds 5] [--other CHECKOUT] [--other-python CHECKOUT/.venv/bin/python]

Each round captions one picture with `captionq caption --model demo` in a new data folder (`fresh`: tables are made, and the
model's batching is checked) and in the same one again (`used`), without the result cache. Another checkout takes turns with this
one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_HERE = Path(__file__).resolve().parents[1]
_PICTURE = _HERE / "examples" / "scene-02.png"


@dataclass(frozen=True)
class Start:
    """One run of the command: CPU seconds of all its processes, and seconds until it ended."""

    cpu: float
    wall: float


def main() -> None:
    """Parse the arguments, run all rounds, print the result."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--other", type=Path)
    made.add_argument("--other-python", type=Path)
    arguments = made.parse_args()
    checkouts = {"this": (_HERE, Path(sys.executable))}
    if arguments.other is not None:
        python = arguments.other_python or arguments.other / ".venv/bin/python"
        checkouts["other"] = (arguments.other.absolute(), python.absolute())
    rounds = []
    for number in range(arguments.rounds):
        rounds.append({name: run_round(*checkout) for name, checkout in checkouts.items()})
        print(f"round {number + 1}: {json.dumps(_plain(rounds[-1]))}", file=sys.stderr, flush=True)
    print(json.dumps(summary(rounds), indent=1))


def run_round(checkout: Path, python: Path) -> dict[str, Start]:
    """Caption the picture twice in a new data folder."""
    with TemporaryDirectory(prefix="captionq-start-", ignore_cleanup_errors=True) as folder:
        picture = Path(shutil.copy(_PICTURE, folder))
        runs = {}
        for name in ("fresh", "used"):
            picture.with_suffix(".txt").unlink(missing_ok=True)
            runs[name] = run_once(checkout, python, picture, Path(folder) / "data")
        return runs


def run_once(checkout: Path, python: Path, picture: Path, data: Path) -> Start:
    """Run the command of a checkout. Raises CalledProcessError."""
    begin = checkout / "captionq.py"
    entry = [str(begin)] if begin.exists() else ["-c", "from cli.main import main; main()"]
    command = [str(python), *entry, "caption", str(picture), "--model", "demo"]
    # Without compiled modules every start would compile all of them.
    unwanted = ("CAPTIONQ_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    environment |= {"PYTHONPATH": str(checkout), "CAPTIONQ_DATA_DIR": str(data), "CAPTIONQ_CACHE": "false"}
    begun = time.perf_counter()
    output = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, cwd=picture.parent, stdout=output, stderr=output)
    # The command waits for its worker and its broker, so their CPU time is part of its own.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Start(used.ru_utime + used.ru_stime, time.perf_counter() - begun)


def summary(rounds: list[dict[str, dict[str, Start]]]) -> dict[str, object]:
    """Return the medians of each checkout, and the medians of the ratios within a round: this one's seconds by the other's."""
    medians = {
        checkout: {
            f"{run}_{kind}": round(statistics.median(getattr(one[checkout][run], kind) for one in rounds), 2)
            for run in ("fresh", "used")
            for kind in ("cpu", "wall")
        }
        for checkout in rounds[0]
    }
    if "other" not in medians:
        return {"medians": medians}
    ratios = {
        f"{run}_{kind}": round(
            statistics.median(getattr(one["this"][run], kind) / getattr(one["other"][run], kind) for one in rounds), 2
        )
        for run in ("fresh", "used")
        for kind in ("cpu", "wall")
    }
    return {"medians": medians, "ratios": ratios}


def _plain(one: dict[str, dict[str, Start]]) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {run: asdict(start) for run, start in runs.items()} for name, runs in one.items()}


if __name__ == "__main__":
    main()
