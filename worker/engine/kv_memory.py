"""How many rows the memory holds, from what their keys and values were seen to take."""

from __future__ import annotations

import os

import mlx.core as mx

#: Of the memory that is free beside the model so much may be keys and values. Joining and leaving rows are copies: for a moment
#: they are there twice.
_SHARE = 0.5
#: So much of it may be buffers that mlx keeps for reuse.
_SHARE_OF_CACHE = 0.1
#: Of a machine without a GPU so much of the memory: the rest is other programs'.
_SHARE_OF_RAM = 0.75


def device_limit() -> int:
    """Bytes that the device works with at full speed: what Metal recommends, or three quarters of the machine's memory."""
    recommended = mx.device_info().get("max_recommended_working_set_size") if mx.metal.is_available() else None
    if recommended:
        return int(recommended)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_RAM)


def claim_device() -> None:
    """Keep what the models use in memory, and not much of what they used: batches of ever new shapes leave it behind.

    On Metal alone: elsewhere mlx keeps little by itself.
    """
    if mx.metal.is_available():
        limit = device_limit()
        mx.set_wired_limit(limit)
        mx.set_cache_limit(int(limit * _SHARE_OF_CACHE))


class RowMemory:
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
