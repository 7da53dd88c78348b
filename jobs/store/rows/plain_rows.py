"""Rows that are made fast: no session observes them, for statements write them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlmodel import SQLModel

from jobs.store.rows.table_row import TableRow

_set = object.__setattr__


class PlainRow(TableRow):
    """Base of a table with very many rows, whose columns have constant defaults, except `id` and `created_at`."""

    if not TYPE_CHECKING:  # type checkers read the arguments from the fields

        def __init__(self, **values: object) -> None:
            # SQLModel's constructor sets one observed attribute after the other, which takes 0.4 ms a row.
            # A copy of a dictionary that has all keys is quicker than one that grows, and all rows have one order of their keys.
            defaults, new_id = _defaults(type(self))
            row = defaults.copy()
            row["created_at"] = time.time()
            row.update(values)
            if len(row) > len(defaults):
                raise TypeError(f"{type(self).__name__} has no fields {sorted(values.keys() - defaults.keys())}.")
            if "id" not in values:
                row["id"] = new_id()
            if state := self.__dict__:
                # SQLAlchemy's own, of the first row of a class.
                row.update(state)
            _set(self, "__dict__", row)

        def __setattr__(self, name: str, value: object) -> None:
            # The same for one attribute.
            if name in _defaults(type(self))[0]:
                self.__dict__[name] = value
            elif name.startswith("_"):
                _set(self, name, value)
            else:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}.")


def unobserve(row_class: type[PlainRow]) -> None:
    """Let rows of the class be made without the state that a session would need: it takes longer than the row.

    SQLAlchemy's own constructor makes the first row, for it prepares the class.
    """

    def restore(*_: Any) -> None:
        row_class.__init__ = PlainRow.__init__  # type: ignore[method-assign]

    event.listen(row_class, "mapper_configured", restore)


@cache
def _defaults(row_class: type[SQLModel]) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Return the values of a new row, and the maker of its id; `created_at` is made for each row too."""
    fields = row_class.model_fields
    new_id: Any = fields["id"].default_factory
    return {name: None if field.is_required() else field.default for name, field in fields.items()}, new_id
