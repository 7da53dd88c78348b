"""`python -m tools.families`: measure families of models, each in a process of its own, and write docs/models.md."""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tools.families.catalogue import FAMILIES
from tools.families.measuring import Measured, measure
from tools.families.model import save
from tools.families.report import write_page

#: Seconds and bytes that one family may take.
_SECONDS, _BYTES = 400, 12 << 30


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the named families (default: all), and write their rows into the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.families", description=__doc__)
    parser.add_argument("family", nargs="*", help="families to measure; the others keep their rows (default: all)")
    parser.add_argument("--processes", type=int, default=1, help="families measured at a time (default: 1)")
    parser.add_argument("--here", action="store_true", help="measure one family in this process, with its log")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.family if name not in FAMILIES]
    if unknown:
        parser.error(f"no family {', '.join(unknown)}; known are {', '.join(FAMILIES)}")
    if chosen.here:
        _measure_here(chosen.family[0])
        return
    names = chosen.family or list(FAMILIES)
    with ThreadPoolExecutor(chosen.processes) as running:
        rows = dict(zip(names, running.map(_in_a_process, names), strict=True))
    write_page(rows)
    print("Wrote docs/models.md.")


def _measure_here(name: str) -> None:
    """Measure one family, and print the result as the last line of the output."""
    _limit_memory()
    logging.basicConfig(level=logging.INFO)
    from jobs.configuration.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        settings.make_folders()
        measured = measure(FAMILIES[name], save(FAMILIES[name], Path(folder) / name), settings)
    print(json.dumps(asdict(measured)))


def _in_a_process(name: str) -> Measured:
    begun = time.monotonic()
    command = [sys.executable, "-m", "tools.families", name, "--here"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        measured = Measured(loads=False, note=f"Took longer than {_SECONDS} s.")
    else:
        last = (done.stdout.strip().splitlines() or [""])[-1]
        if done.returncode == 0:
            measured = Measured(**json.loads(last))
        else:
            reason = (done.stderr.strip().splitlines() or ["no word"])[-1]
            measured = Measured(loads=False, note=f"The process ended with {done.returncode}: {reason}")
    took = time.monotonic() - begun
    print(
        f"{name:<20} {measured.batching or '-':<12} {measured.right} right  {took:5.1f} s  {measured.note}", flush=True
    )
    return measured


def _limit_memory() -> None:
    """Bound the address space. macOS does not enforce the limit."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES if most == resource.RLIM_INFINITY else min(_BYTES, most), most))


if __name__ == "__main__":
    main()
