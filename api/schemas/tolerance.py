"""Tolerance for requests that were written for other servers.

A field that only tunes another server is accepted and named in the `x-captionq-ignored` header. A field that changes the
meaning of the answer is refused by its name, unless its value asks for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.wire import Wire

#: Most characters of a value that an error message quotes.
_QUOTED = 40
#: Values that ask for nothing, whatever the field.
_EMPTY: tuple[Any, ...] = (None, "", [], {})


class Tolerant(Wire):
    """A part of a body that may have fields of other servers."""

    model_config = ConfigDict(extra="allow")

    #: Fields that would change the meaning of the answer, each with the values that ask for nothing.
    refused: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    #: The way out for a refused field, if it is not to leave the field out.
    hints: ClassVar[Mapping[str, str]] = {}
    #: Values of ignored fields by which a client asks for the usual behaviour: they are not named.
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_meanings(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for name, accepted in cls.refused.items():
                if not _asks_nothing(value.get(name), accepted):
                    context = {"reason": cls._reason(name, value[name], accepted), "name": name}
                    raise PydanticCustomError("unsupported_parameter", "{reason}", context)
        return value

    def ignored(self, place: str = "") -> Iterator[str]:
        """Yield the names of all fields that are ignored although they ask for something, such as `messages.0.name`."""
        for name, value in (self.model_extra or {}).items():
            if name not in self.refused and not _asks_nothing(value, self.neutral.get(name, ())):
                yield place + name
        for name in type(self).model_fields:
            yield from _ignored_in(getattr(self, name), place + name)

    @classmethod
    def _reason(cls, name: str, value: Any, accepted: tuple[Any, ...]) -> str:
        words = json.dumps(value)
        choices = " or ".join(json.dumps(one) for one in accepted)
        if name in cls.hints or not choices or len(words) > _QUOTED:
            return f"'{name}' is not supported. {cls.hints.get(name, 'Leave it out.')}"
        return f"{name}={words} is not supported (only {choices})."


def _ignored_in(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Tolerant):
        yield from value.ignored(f"{place}.")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _ignored_in(one, f"{place}.{number}")


def _asks_nothing(value: Any, accepted: tuple[Any, ...]) -> bool:
    return any(_same(value, one) for one in (*_EMPTY, *accepted))


def _same(value: Any, accepted: Any) -> bool:
    # In Python 1 == True: a boolean must not pass for a number. In JSON 1 and 1.0 are the same.
    return isinstance(value, bool) == isinstance(accepted, bool) and bool(value == accepted)
