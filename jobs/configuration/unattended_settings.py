"""Settings of a machine that works by itself: when bulk work runs, and how long an idle model stays in memory."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from jobs.configuration.idle_time import parse_idle_time
from jobs.configuration.working_hours import WorkingHours, parse_hours


class UnattendedSettings(BaseSettings):
    """The part of the settings that a person sets for the time when no person is there."""

    #: Hours of the day, in local time, in which bulk work runs (`22-7`, `22:30-7,12-13`); None: all.
    hours: str | None = None
    #: Charge in percent below which bulk work waits while the machine runs on its battery; 0: never.
    battery: int = Field(default=0, ge=0, le=100)
    #: Whether bulk work waits while the system says that the machine is too hot or has too little memory.
    pause_under_pressure: bool = True
    #: How long a model without jobs stays in memory (`30m`, `1h30m`, seconds, 0); negative: for ever.
    keep_alive: str = "1h"
    #: Seconds for which the worker that `captionq ask` started stays after its last job, so that the next question finds the
    #: model loaded.
    ask_linger: float = Field(default=300.0, ge=1)

    @field_validator("hours")
    @classmethod
    def _spans(cls, value: str | None) -> str | None:
        # Blank is how a shell takes a setting away for one command.
        return value if value is not None and parse_hours(value) is not None else None

    @field_validator("keep_alive", mode="before")
    @classmethod
    def _length(cls, value: object) -> object:
        # A configuration file may have a number.
        value = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if isinstance(value, str):
            parse_idle_time(value)
        return value

    @property
    def working_hours(self) -> WorkingHours | None:
        """The hours in which bulk work runs; None: all."""
        return None if self.hours is None else parse_hours(self.hours)

    @property
    def keep_alive_seconds(self) -> float:
        """Seconds for which a model without jobs stays in memory."""
        return parse_idle_time(self.keep_alive)
