"""Power failures: a change that was acknowledged is on the disk, as the system calls of a process show."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from jobs.configuration.settings import Settings
from jobs.store.store import Store
from tests.support.postgres import only_sqlite
from tests.support.rows import add_batch

#: Each line on standard output stands for an acknowledgement: to a client (201), or of the end of a job.
_PROGRAM = """
import os, sys
from pathlib import Path
from jobs.configuration.settings import Settings
from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.rows import RESULT, make_job

def acknowledge(what):
    os.write(1, f"acknowledged {what}\\n".encode())

store = Store(Settings(data_dir=Path(sys.argv[1]), model="demo"))
batch = Batch(description="test", model="demo")
store.add_batch(batch)
acknowledge("batch")
jobs = [make_job(str(number), batch) for number in range(5)]
store.add(jobs)
acknowledge("jobs")
store.take_up([make_job("folder", batch)], batch.id, ())
acknowledge("folder")
store.claim([job.id for job in jobs], "worker")
store.succeed(jobs[0].id, RESULT)
acknowledge("result")
store.cancel([jobs[1].id])
acknowledge("cancel")
store.cancel_batch(batch.id)
acknowledge("batch cancelled")
"""
_CALLS = "trace=openat,pwrite64,write,fdatasync,fsync"


def unsynced(trace: str) -> dict[str, int]:
    """Count, for each acknowledgement, the writes to the write-ahead log that were not synced before it."""
    pending, found = 0, {}
    for line in trace.splitlines():
        if re.search(r"pwrite64\(\d+<[^>]*captionq\.db-wal>", line):
            pending += 1
        elif re.search(r"f(data)?sync\(\d+<[^>]*captionq\.db-wal>", line):
            pending = 0
        elif acknowledged := re.search(r'write\(1<[^>]*>, "acknowledged ([^"\\]+)', line):
            found[acknowledged[1]] = pending
    return found


@only_sqlite
@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: the pragmas are tested all the same"
)
def test_what_was_acknowledged_had_been_synced(settings: Settings, store: Store) -> None:
    """The write-ahead log holds every commit, so a commit is safe when no write to that file is unsynced."""
    # While the test holds the file open, the process does not remove the log at its end.
    add_batch(store, 1)
    trace = settings.data_dir / "trace"
    command = [
        "strace",
        "-f",
        "-y",
        "-e",
        _CALLS,
        "-o",
        str(trace),
        sys.executable,
        "-c",
        _PROGRAM,
        str(settings.data_dir),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("no process may be traced here")
    assert done.returncode == 0, done.stderr
    found = unsynced(trace.read_text(errors="replace"))
    assert list(found) == ["batch", "jobs", "folder", "result", "cancel", "batch cancelled"]
    assert set(found.values()) == {0}
