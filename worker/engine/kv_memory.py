"""The number of sequences that fit into memory, by the measured size of their keys and values."""

from __future__ import annotations

import mlx.core as mx

from jobs.models.memory_need import KV_SHARE
from worker.models.device import device_limit


class KVMemory:
    """The memory that is left for the sequences of one model."""

    def __init__(self, limit: int | None = None) -> None:
        """Args:
        limit: Bytes for the models and the sequences; None: the device's limit.
        """
        self._limit = limit or device_limit()
        self._free = 0.0
        self.look()
        #: Bytes of keys and values that a token takes; 0 before the first measurement.
        self._token_bytes = 0.0
        self._longest = 0

    def look(self) -> None:
        """Measure the free memory again, as models are loaded and dropped. No sequence may be running."""
        self._free = max(0, self._limit - mx.get_active_memory()) * KV_SHARE

    def measured(self, bytes_: int, sequences: int, columns: int) -> None:
        """Learn the size of a token from caches of `sequences` × `columns` tokens.

        The longest caches give the best estimate: some models also hold much that does not grow.
        """
        if columns >= self._longest:
            self._longest = columns
            self._token_bytes = bytes_ / (sequences * columns)

    def holds(self, sequences: int, longest: int) -> bool:
        """Whether so many sequences fit if the longest may grow to `longest` tokens: all are padded to that length."""
        return sequences * longest * self._token_bytes <= self._free
