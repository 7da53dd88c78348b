"""How many rows the memory holds, from what their keys and values were seen to take."""

from __future__ import annotations

import mlx.core as mx

from worker.models.device import device_limit

#: Of the memory that is free beside the model so much may be keys and values. Joining and leaving rows are copies: for a moment
#: they are there twice.
_SHARE = 0.5


class KVMemory:
    """The memory that is left for the rows of one model."""

    def __init__(self, limit: int | None = None) -> None:
        """`limit`: bytes for the models and the rows."""
        self._limit = limit or device_limit()
        self._free = 0.0
        self.look()
        #: Bytes of keys and values that a token takes, as far as is known.
        self._token_bytes = 0.0
        self._longest = 0

    def look(self) -> None:
        """What is active now is the models': other ones may have come or gone. No row may be running."""
        self._free = max(0, self._limit - mx.get_active_memory()) * _SHARE

    def measured(self, bytes_: int, rows: int, columns: int) -> None:
        """Learn from the caches of so many rows. The longest ones tell best: some models hold much that does not grow."""
        if columns >= self._longest:
            self._longest = columns
            self._token_bytes = bytes_ / (rows * columns)

    def holds(self, rows: int, longest: int) -> bool:
        """Whether so many rows fit, when the longest one may grow to so many tokens: all are padded to it."""
        return rows * longest * self._token_bytes <= self._free
