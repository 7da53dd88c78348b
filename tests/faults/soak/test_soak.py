"""Mixed load without faults: nothing grows, nothing fails, and answers take as long at the end as at the beginning.

`make soak` runs an hour of it and writes the figures. The gate leaves it out: chaos has the same clients.
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.configuration.settings import Settings
from jobs.queue import broker
from tests.faults.history import History, check_history, has_come_to_rest
from tests.faults.life_checks import receiver
from tests.faults.soak.measurement import INTERVAL, Measurement
from tests.faults.soak.mixed_load import MixedLoad, RepeatedCommand
from tests.faults.soak.report import growth, latencies, what_grows
from tests.support.processes import SCRIPT, until
from tests.support.scenes import save_scenes
from tests.support.serving import serving
from tests.support.webhooks import SECRET

SECONDS = float(os.environ.get("CAPTIONQ_TEST_SOAK", "20"))
#: The file that gets the figures; None: nobody asks for them.
REPORT = os.environ.get("CAPTIONQ_TEST_REPORT")
#: Seconds before the measurement: caches fill, and the allocator gets its first arenas.
WARM_UP = min(180.0, 0.1 * SECONDS)
#: Seconds at the beginning and at the end whose answers are compared: ten minutes of an hour.
SPAN = SECONDS / 6
PICTURES = 60 if SECONDS > 60 else 4
SEED = int(os.environ.get("CAPTIONQ_TEST_SEED", "1"))
#: Lets glibc give freed memory back at once. By default it keeps pieces of it, by chance and more and more slowly, which would
#: hide whether the processes keep anything: after `malloc_trim` a worker is as large after 2,400 chats as after 400.
GIVES_BACK: dict[str, Any] = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}

pytestmark = [pytest.mark.timeout(SECONDS + WARM_UP + 600), pytest.mark.thorough]


def test_an_hour_of_mixed_load_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    """Every request is answered, rightly. In a run of ten minutes or more no memory and no number of descriptors grows."""
    history, captions = History(), save_scenes(tmp_path / "pictures", PICTURES)
    with ExitStack() as at_end:
        hook, arrived = at_end.enter_context(receiver())
        served = at_end.enter_context(
            serving(
                settings,
                script=str(SCRIPT),
                CAPTIONQ_WEBHOOK_SECRET=SECRET,
                **GIVES_BACK,
                CAPTIONQ_ALLOWED_NETWORKS='["127.0.0.1/32"]',
            )
        )
        connection = broker.find(settings)
        assert connection is not None
        at_end.enter_context(connection)
        load = MixedLoad(served.url, hook, history, SEED)
        at_end.callback(load.stop)
        command = RepeatedCommand(served.captionq, captions, history, pause=SECONDS / 60)
        at_end.callback(command.stop)
        time.sleep(WARM_UP)
        measured = Measurement(psutil.Process(served.process.pid), connection)
        at_end.callback(measured.stop)
        begin = time.monotonic()
        _wait(history, SECONDS)
        end = time.monotonic()
        measured.stop()
        load.stop()
        command.stop()
        grown = growth(measured.series, begin, (begin + end) / 2)
        report: dict[str, Any] = {
            "command": f"make soak SECONDS={SECONDS:.0f}",
            "seconds": round(end - begin),
            "warm-up before (s)": WARM_UP,
            "machine": _machine(),
            "allocator": GIVES_BACK,
            "actions": {**load.done, "command": command.runs},
            "answers that were not 200 or 201": sum(history.refusals.values()),
            "contradictions": len(history.wrong),
            "data folder at the end (MB)": _sizes(settings),
            "growth in an hour": grown,
            "seconds until an answer, in the first and last sixth": latencies(load.took, begin, end, SPAN),
        }
        # Before the checks: figures of a run that has failed tell why.
        _write(report)
        series = {name: vars(one) for name, one in measured.series.items()}
        (tmp_path / "series.json").write_text(json.dumps(series))
        until(lambda: has_come_to_rest(settings), "the end of all work")
        found = check_history(history, settings, served.client, arrived)
        assert served.stop() == 0
    _write(report | asdict(found))
    assert history.refusals == {}
    assert found.given_up == found.doubled == found.faults == 0
    assert {name: len(pids) for name, pids in measured.processes.items() if len(pids) > 1} == {}
    assert all(load.done[kind] for kind in ("chat", "stream", "other dialect", "job", "batch", "folder", "page"))
    assert command.runs
    assert SECONDS < 600 or what_grows(grown) == []


def _write(report: dict[str, Any]) -> None:
    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _wait(history: History, seconds: float) -> None:
    """Wait, and end early at a contradiction: an hour's run says so at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not history.wrong:
        time.sleep(min(INTERVAL, max(0.0, deadline - time.monotonic())))


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "cores": psutil.cpu_count(),
    }


def _sizes(settings: Settings) -> dict[str, float]:
    def size(paths: list[Path]) -> float:
        return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 1)

    return {
        "database": size(list(settings.data_dir.glob("captionq.db*"))),
        "broker": size(list(settings.broker_dir.rglob("*"))),
        "logs": size(list(settings.log_dir.rglob("*"))),
    }
