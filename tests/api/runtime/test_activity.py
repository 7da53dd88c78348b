"""The pauses of background threads: short while something is going on, else until a client makes work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from api.runtime import activity as module
from api.runtime.activity import Activity

#: Seconds of a pause that has to be ended by something else.
LONG = 100.0


@pytest.fixture(autouse=True)
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SELDOM", LONG)


def resting(activity: Activity, answers: list[bool], *, busy: bool, seconds: float = LONG) -> threading.Thread:
    """Begin a pause in a thread."""
    thread = threading.Thread(target=lambda: answers.append(activity.rest(seconds, busy=busy)), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("end", [Activity.begins, Activity.close], ids=["a request", "the end of the server"])
def test_a_long_pause_ends_early(end: Callable[[Activity], None]) -> None:
    """With the first request that may change something, and with the server."""
    activity, answers = Activity(), list[bool]()
    thread = resting(activity, answers, busy=False, seconds=0.0)
    thread.join(0.05)
    assert thread.is_alive()
    end(activity)
    thread.join(LONG)
    assert answers == [end is Activity.begins]


def test_short_pauses_are_not_ended_by_requests() -> None:
    """A thread that looks often would look as often as requests come. The end of the server ends its pause too."""
    activity, answers = Activity(), list[bool]()
    threads = [resting(activity, answers, busy=True)]
    activity.begins()
    threads.append(resting(activity, answers, busy=False))
    activity.begins()
    threads[1].join(0.05)
    assert answers == []
    activity.close()
    for thread in threads:
        thread.join(LONG)
    assert answers == [False, False]


def test_work_makes_the_pauses_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """For some seconds after a request, and for as long as something is open."""
    activity = Activity()
    assert activity.rest(0.001, busy=True)
    activity.begins()
    assert activity.rest(0.001, busy=False)
    monkeypatch.setattr(activity, "_lively_until", time.monotonic())
    answers: list[bool] = []
    thread = resting(activity, answers, busy=False, seconds=0.001)
    thread.join(0.05)
    assert thread.is_alive()
    activity.close()
    thread.join(LONG)
