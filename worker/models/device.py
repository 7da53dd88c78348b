"""The type of the weights, by the device that they are for."""

from __future__ import annotations

import gc
import logging
import os
from importlib.metadata import version
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

logger = logging.getLogger("captionq.loader")

_HALVES = (mx.float16, mx.bfloat16)
#: Bytes of a float32.
_WIDE = 4


def suit_device(model: Any) -> None:
    """Without a GPU half precision becomes float32, where the memory allows it; on Metal weights keep their type.

    mlx 0.32 multiplies half-precision matrices on the CPU 1.1 to 2.1 times as slowly (measured on x86_64, 32 and 512 rows of
    2048, float16 the slowest), and without the BLAS that float32 goes through.
    """
    if mx.metal.is_available():
        return
    arrays = [array for _, array in tree_flatten(model.parameters())]
    halves = [array for array in arrays if array.dtype in _HALVES]
    needed = sum(array.nbytes for array in arrays) + sum(array.size * _WIDE - array.nbytes for array in halves)
    if not halves or needed > device_limit():
        return
    logger.info("There is no GPU: %d weights of half precision become float32.", len(halves))
    model.set_dtype(mx.float32)
    # Now: who asks how much memory is left is to see these.
    mx.eval(model.parameters())


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


def free_memory() -> None:
    """Return the memory of an unloaded model to the system. Its last reference must be gone."""
    gc.collect()
    mx.clear_cache()


def device_name() -> str:
    """Return the version of mlx and the device that it computes on."""
    return f"mlx {version('mlx')} on {mx.default_device()}"
