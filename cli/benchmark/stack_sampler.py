"""Where a worker's time and memory go, seen from beside it: for benchmarks.

A thread looks at the main thread's stack at regular times. The engine is inside; everything else (queue, store, files, waiting
for pictures) is outside. It knows one name of the worker's code, and costs less than can be measured.
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

#: Seconds between two looks.
LOOK_EVERY = 0.01
#: A stack that holds a frame of this file is in the model: the engine's own bookkeeping is counted with it.
INSIDE = "worker/engine/engine.py"
_OURS = ("cli/", "jobs/", "worker/")
_ROOT = f"{Path(__file__).parent.parent.parent}/"


def metered(main: Callable[[], None]) -> None:
    """Run `main` and write a report into the file that the command line names first, as JSON, at the end of the process.

    `looks`: [seconds since the epoch, CPU seconds of the process, whether in the engine, innermost file of ours];
    `peak_memory`: bytes that mlx held at most; `max_rss`: bytes of the process that were resident at most.
    """
    report = Path(sys.argv.pop(1))
    looks: list[tuple[float, float, bool, str]] = []
    done = threading.Event()
    thread = threading.get_ident()
    watch = threading.Thread(target=_watch, args=(thread, looks, done), name="meter", daemon=True)
    watch.start()
    try:
        main()
    finally:
        done.set()
        watch.join()
        report.write_text(json.dumps({"looks": looks, "peak_memory": peak_memory(), "max_rss": max_rss()}))


def peak_memory() -> int:
    """Bytes that mlx held at most in this process. To be called on the thread that uses it."""
    if "mlx.core" not in sys.modules:
        return 0
    import mlx.core as mx

    return int(mx.get_peak_memory())


def max_rss() -> int:
    """Bytes of this process that were resident at most."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux a process begins with its parent's `ru_maxrss`; its own high-water mark is in proc(5).
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _watch(thread: int, looks: list[tuple[float, float, bool, str]], done: threading.Event) -> None:
    while not done.wait(LOOK_EVERY):
        # Private by its name alone: documented in the library reference, for debuggers and profilers.
        frame = sys._current_frames().get(thread)  # noqa: SLF001
        inside, where = _place(frame)
        looks.append((time.time(), time.process_time(), inside, where))


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
    """`worker/engine/engine.py` and so on for a file of ours, nothing for any other."""
    name = path.removeprefix(_ROOT)
    return name if path != name and name.startswith(_OURS) else ""
