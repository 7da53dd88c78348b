"""The kinds of faults. Each ends by itself: a frozen process goes on, a full disk has room again, a clock is right again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from jobs.configuration.settings import Settings
from jobs.queue import broker
from tests.faults.chaos.clock import JumpingClock
from tests.faults.chaos.random_faults import Fault, Moment
from tests.faults.chaos.supervised import Supervised
from tests.support.disks import fill

#: Returns the process that a fault hits; None: there is none at this moment.
Find = Callable[[], psutil.Process | None]
#: Seconds that a closed lid suspends a process, every fifth time in a long run.
LID = 60.0
#: Seconds that a clock jumps at most, ahead and back: less than the day that a batch of lines has.
FURTHEST_JUMP = 7200.0
#: Holds the database's only write lock until its standard input closes.
_HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print(flush=True)
sys.stdin.read()
"""


def kill(find: Find) -> Fault:
    """Return the fault that kills a process."""

    def happen(_: Moment) -> bool:
        if (process := find()) is not None:
            process.send_signal(signal.SIGKILL)
        return process is not None

    return happen


def freeze(find: Find, *, lid: bool = False) -> Fault:
    """Return the fault that suspends a process. `lid`: every fifth time for a minute."""

    def happen(moment: Moment) -> bool:
        if (process := find()) is None:
            return False
        process.suspend()
        if lid and moment.dice.random() < 0.2:
            moment.stopping.wait(LID)
        else:
            moment.hold()
        process.resume()
        return True

    return happen


def slow_down(find: Find) -> Fault:
    """Return the fault that lets a process run for a tenth of the time only: each answer takes up to 0.2 s more."""

    def happen(moment: Moment) -> bool:
        if (process := find()) is None:
            return False
        end = time.monotonic() + moment.dice.uniform(0.5, 1.5) * moment.pause
        while time.monotonic() < end and not moment.stopping.wait(0.02):
            process.suspend()
            moment.stopping.wait(moment.dice.uniform(0.1, 0.2))
            process.resume()
        return True

    return happen


def of_broker(settings: Settings, spoil: Callable[[Redis], object], mend: Callable[[Redis], object]) -> Fault:
    """Return the fault that spoils something in the broker, and mends it when it is over."""

    def happen(moment: Moment) -> bool:
        connection = broker.find(settings)
        if connection is None:
            return False
        with connection:
            spoil(connection)
            moment.hold()
            # If another fault has ended the server, the next server does not know about this one.
            with suppress(RedisError):
                mend(connection)
        return True

    return happen


def flush(settings: Settings) -> Fault:
    """Return the fault that empties the broker."""

    def happen(_: Moment) -> bool:
        connection = broker.find(settings)
        if connection is None:
            return False
        with connection:
            connection.flushall()
        return True

    return happen


def read_only_broker(settings: Settings) -> Fault:
    """Return the fault that makes the broker a replica, which refuses writes: a failover to the wrong side."""
    return of_broker(settings, lambda one: one.replicaof("127.0.0.1", 1), lambda one: one.replicaof("NO", "ONE"))


def full_broker(settings: Settings) -> Fault:
    """Return the fault that leaves the broker no memory for new entries."""
    return of_broker(settings, lambda one: one.config_set("maxmemory", 1), lambda one: one.config_set("maxmemory", 0))


def lock_database(path: Path) -> Fault:
    """Return the fault that another program holds the database's write lock, for up to five pauses."""

    def happen(moment: Moment) -> bool:
        command = [sys.executable, "-c", _HOLD, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            got = holder.stdout.readline() != b""
            moment.stopping.wait(moment.dice.uniform(1.0, 5.0) * moment.pause)
            holder.stdin.close()
        return got

    return happen


def fill_disk(folder: Path) -> Fault:
    """Return the fault that the folder's disk is full."""

    def happen(moment: Moment) -> bool:
        ballast = fill(folder)
        moment.hold()
        ballast.unlink()
        return True

    return happen


def jump(clock: JumpingClock) -> Fault:
    """Return the fault that the clock jumps, ahead or back, and is set right later."""

    def happen(moment: Moment) -> bool:
        clock.jump(moment.dice.uniform(-FURTHEST_JUMP, FURTHEST_JUMP))
        moment.hold()
        clock.jump(0)
        return True

    return happen


def restart(stop: Callable[[], None], start: Callable[[], None]) -> Fault:
    """Return the fault that a server is away for a while."""

    def happen(moment: Moment) -> bool:
        stop()
        moment.hold()
        start()
        return True

    return happen


def process_of(supervised: Supervised) -> Find:
    """Return how the process of a command is found."""

    def find() -> psutil.Process | None:
        running = supervised.process
        return None if running is None or running.poll() is not None else psutil.Process(running.pid)

    return find


def process_in(path: Path) -> Find:
    """Return how the process is found whose id a lock file holds."""

    def find() -> psutil.Process | None:
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            process = psutil.Process(int(path.read_text().split()[0]))
            # A process id of a process that has ended may be another program's by now.
            return process if any("captionq" in one or "valkey" in one for one in process.cmdline()) else None
        return None

    return find
