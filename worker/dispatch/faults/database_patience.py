"""Patience with a database that is locked, full, on a failing disk or away: the worker goes on, and tries again by and by."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError as DriverError
from sqlalchemy.exc import OperationalError

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseError
from jobs.errors.database_faults import cause_of, database_error
from jobs.queue.worker_state import Fault
from jobs.store.connection import place_of
from jobs.store.databases.passing_faults import passes
from jobs.store.result import Result

logger = logging.getLogger("captionq.worker")

#: Seconds that the worker's writers wait for another writer: the model stands still meanwhile. Then the fault is noted.
WRITER_WAIT = 2.0
#: Seconds before the first, second, … new try. The last pause is repeated.
PAUSES = (0.5, 1.0, 2.0, 5.0)
#: Seconds in which one cause is logged once, for faults that come and go.
LOGGED_EVERY = 60.0


class DatabasePatience:
    """The present fault of one worker's database, and the time of the next try."""

    def __init__(self, settings: Settings, on_answer: Callable[[], object]) -> None:
        """`on_answer` is called when the database answers again after a fault."""
        self._place = place_of(settings)
        self._on_answer = on_answer
        self._tries = 0
        self._next_try = 0.0
        self._since = 0.0
        #: The present fault; None: there is none.
        self.fault: Fault | None = None
        #: Whether the present fault was logged.
        self._is_said = False
        #: The cause that was logged last, and when.
        self._logged: tuple[str, float] = ("", float("-inf"))

    @property
    def waits(self) -> bool:
        """Whether it is too early for a new try."""
        return time.monotonic() < self._next_try

    def pause(self) -> float:
        """Return the seconds until the next try."""
        return max(0.0, self._next_try - time.monotonic())

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Survive a fault of the database in the block, which has to be repeatable. All other errors are raised."""
        try:
            yield
        except Exception as error:
            if not passes(error):
                raise
            self._note(error)

    def answered(self) -> None:
        """Note that the database took a change: a fault is over. Raises what `on_answer` raises."""
        if not self.fault:
            return
        self._on_answer()
        if self._is_said:
            logger.info("The database answers again, after %.0f s.", time.monotonic() - self._since)
        self.fault, self._tries, self._next_try = None, 0, 0.0

    def _note(self, error: Exception) -> None:
        now, cause = time.monotonic(), cause_of(error, self._place)
        if not self.fault:
            self._since, self._is_said = now, False
        self.fault = Fault(database_error(error).code, cause)
        self._next_try = now + PAUSES[min(self._tries, len(PAUSES) - 1)]
        self._tries += 1
        last, logged_at = self._logged
        if not self._is_said and (cause != last or now - logged_at > LOGGED_EVERY):
            self._logged, self._is_said = (cause, now), True
            logger.warning("%s The worker keeps its results, and goes on by itself when the fault is over.", cause)


def is_of_database(error: Exception) -> bool:
    """Return whether an error comes from the database's place, whether it passes or not. No job is to blame for it."""
    return isinstance(error, (DatabaseError, OperationalError)) or type(error) is DriverError or passes(error)


def forgiving(find: Callable[[str], Result | None]) -> Callable[[str], Result | None]:
    """Return the search of the result cache, which finds nothing while the database is at fault: the answer is generated."""

    def found(key: str) -> Result | None:
        try:
            return find(key)
        except Exception as error:
            if not passes(error):
                raise
            return None

    return found
