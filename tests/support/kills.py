"""Deaths of the process at chosen calls, within the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Killed(BaseException):
    """The process dies here."""


def dying_at(point: int, function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """Return the function, in which the process dies at its nth call: before or after the call."""
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == point and not after:
            raise Killed
        done = function(*arguments, **options)
        if calls == point:
            raise Killed
        return done

    return counted
