"""A sampler of a worker's main thread: where its time goes, and the memory of its process.

A thread reads the main thread's stack at regular times. Samples in the engine are inside; everything else (queue, store, files,
waiting for pictures) is outside. The sampler knows one file name of the worker, and its cost is too small to be measured.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType

#: Seconds between two samples.
SAMPLE_EVERY = 0.01
#: A stack with a frame of this file is inside. The engine's own bookkeeping counts as the model's time.
INSIDE = "worker/engine/engine.py"
_OURS = ("cli/", "jobs/", "worker/")
_ROOT = f"{Path(__file__).parent.parent.parent}/"


def run_sampled(main: Callable[[], None]) -> None:
    """Run `main`, then write a report as JSON into the file that is the first argument of the command line.

    `samples`: [seconds since the epoch, CPU seconds of the process, whether in the engine, innermost file of captionq];
    `peak_memory`: peak bytes held by mlx; `max_rss`: peak resident bytes of the process.
    """
    report = Path(sys.argv.pop(1))
    samples: list[tuple[float, float, bool, str]] = []
    done = threading.Event()
    thread = threading.get_ident()
    sampler = threading.Thread(target=_sample, args=(thread, samples, done), name="sampler", daemon=True)
    sampler.start()
    try:
        main()
    finally:
        done.set()
        sampler.join()
        report.write_text(json.dumps({"samples": samples, "peak_memory": peak_memory(), "max_rss": max_rss()}))


def peak_memory() -> int:
    """Return the peak bytes that mlx held in this process. Call it on the thread that uses mlx."""
    if "mlx.core" not in sys.modules:
        return 0
    import mlx.core as mx

    return int(mx.get_peak_memory())


def max_rss() -> int:
    """Return the peak resident bytes of this process."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux a process begins with its parent's `ru_maxrss`; its own high-water mark is in proc(5).
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _sample(thread: int, samples: list[tuple[float, float, bool, str]], done: threading.Event) -> None:
    while not done.wait(SAMPLE_EVERY):
        # Private by name only: documented in the library reference, for debuggers and profilers.
        frame = sys._current_frames().get(thread)  # noqa: SLF001
        inside, where = _place(frame)
        samples.append((time.time(), time.process_time(), inside, where))


def _place(frame: FrameType | None) -> tuple[bool, str]:
    inside, where = False, ""
    while frame is not None:
        name = _name(frame.f_code.co_filename)
        where = where or name
        inside = inside or name == INSIDE
        frame = frame.f_back
    return inside, where


@cache
def _name(path: str) -> str:
    """Return `worker/engine/engine.py` and so on for a file of captionq, nothing for any other."""
    name = path.removeprefix(_ROOT)
    return name if path != name and name.startswith(_OURS) else ""
