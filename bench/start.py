"""The way from command to text for one picture, when nothing runs yet, as JSON.

    python -m bench.start [--rounds 5] [--other CHECKOUT] [--other-python CHECKOUT/.venv/bin/python]

Each round captions one picture with `captionq caption --model demo` in a new data folder (`fresh`: tables are made, and the
model's batching is checked), in the same one again (`used`), and once more beside a warm `captionq work` (`warm`: the CPU time
of the command and of the worker), without the result cache. Another checkout takes turns with this one. `libraries` is the CPU
time of a Python that imports transformers and mlx_vlm and does nothing else: the ratios by it hold on any machine.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

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
    rounds, libraries = [], []
    for number in range(arguments.rounds):
        rounds.append({name: run_round(*checkout) for name, checkout in checkouts.items()})
        libraries.append(import_libraries(Path(sys.executable)))
        print(f"round {number + 1}: {json.dumps(_plain(rounds[-1]))}", file=sys.stderr, flush=True)
    print(json.dumps({"libraries": by_libraries(rounds, libraries), **summary(rounds)}, indent=1))


def run_round(checkout: Path, python: Path) -> dict[str, Start]:
    """Caption the picture twice in a new data folder."""
    with TemporaryDirectory(prefix="captionq-start-", ignore_cleanup_errors=True) as folder:
        picture = Path(shutil.copy(_PICTURE, folder))
        runs = {}
        for name in ("fresh", "used"):
            picture.with_suffix(".txt").unlink(missing_ok=True)
            runs[name] = run_once(checkout, python, picture, Path(folder) / "data")
        runs["warm"] = run_warm(checkout, python, picture, Path(folder) / "data")
        return runs


def run_warm(checkout: Path, python: Path, picture: Path, data: Path) -> Start:
    """Run the command beside a worker that has answered before. The worker's CPU time counts, too."""
    command, environment = _command(checkout, python, data, "work")
    output = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=output, stdout=output, stderr=output) as process:
        try:
            worker = psutil.Process(process.pid)
            lock = data / "worker.lock"
            while process.poll() is None and (not lock.exists() or lock.read_text().split()[:1] != [str(process.pid)]):
                time.sleep(0.05)
            for _ in range(2):
                picture.with_suffix(".txt").unlink(missing_ok=True)
                before = sum(worker.cpu_times()[:2])
                command_only = run_once(checkout, python, picture, data)
            return replace(command_only, cpu=command_only.cpu + sum(worker.cpu_times()[:2]) - before)
        finally:
            process.terminate()


def import_libraries(python: Path) -> float:
    """Return the CPU seconds of a process that imports the libraries of models."""
    output = subprocess.DEVNULL
    process = subprocess.Popen([str(python), "-c", "import transformers, mlx_vlm"], stdout=output, stderr=output)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def by_libraries(rounds: list[dict[str, dict[str, Start]]], libraries: list[float]) -> dict[str, float]:
    """Return the median CPU seconds of the libraries' import, and the medians of the ratios within a round to it."""
    ratios = {
        run: round(
            statistics.median(one["this"][run].cpu / each for one, each in zip(rounds, libraries, strict=True)), 2
        )
        for run in ("fresh", "used", "warm")
    }
    return {"cpu": round(statistics.median(libraries), 2), **ratios}


def _command(checkout: Path, python: Path, data: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return a command of a checkout, and its environment."""
    begin = checkout / "captionq.py"
    entry = [str(begin)] if begin.exists() else ["-c", "from cli.main import main; main()"]
    # Without compiled modules every start would compile all of them.
    unwanted = ("CAPTIONQ_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    environment |= {
        "PYTHONPATH": str(checkout),
        "CAPTIONQ_DATA_DIR": str(data),
        "CAPTIONQ_CACHE": "false",
        "CAPTIONQ_MODEL": "demo",
    }
    return [str(python), *entry, *arguments], environment


def run_once(checkout: Path, python: Path, picture: Path, data: Path) -> Start:
    """Run the command of a checkout. Raises CalledProcessError."""
    command, environment = _command(checkout, python, data, "caption", str(picture), "--model", "demo")
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
            for run in ("fresh", "used", "warm")
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
        for run in ("fresh", "used", "warm")
        for kind in ("cpu", "wall")
    }
    return {"medians": medians, "ratios": ratios}


def _plain(one: dict[str, dict[str, Start]]) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {run: asdict(start) for run, start in runs.items()} for name, runs in one.items()}


if __name__ == "__main__":
    main()
