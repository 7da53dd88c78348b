"""The device that mlx computes on: its name, its memory, and the type of weights that suits it."""

from __future__ import annotations

import ctypes
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
#: Share of the device's limit that mlx may keep as buffers for reuse.
_SHARE_OF_CACHE = 0.1
#: Share of the memory that models may use on a machine without a GPU; the rest is for other programs.
_SHARE_OF_RAM = 0.75


def device_name() -> str:
    """Return the version of mlx and the device that it computes on."""
    return f"mlx {version('mlx')} on {mx.default_device()}"


def suit_device(model: Any) -> None:
    """Turn half-precision weights into float32 if there is no GPU and the memory allows it. On Metal weights keep their type.

    mlx 0.32 multiplies half-precision matrices on the CPU 1.1 to 2.1 times as slowly (measured on x86_64, 32 and 512 rows of
    2048, float16 the slowest), and without the BLAS that it uses for float32.
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
    # Evaluated now, so that a measurement of the free memory counts the wider weights.
    mx.eval(model.parameters())


def device_limit() -> int:
    """Return the bytes that the device uses at full speed: Metal's recommendation, or three quarters of the machine's memory."""
    recommended = mx.device_info().get("max_recommended_working_set_size") if mx.metal.is_available() else None
    if recommended:
        return int(recommended)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_RAM)


def claim_device() -> None:
    """Keep the memory of models wired, and limit the buffers that mlx keeps: batches of ever new shapes leave many behind.

    Applies to Metal only; on other devices mlx keeps little by itself.
    """
    if mx.metal.is_available():
        limit = device_limit()
        mx.set_wired_limit(limit)
        mx.set_cache_limit(int(limit * _SHARE_OF_CACHE))


def free_memory() -> None:
    """Return the memory of an unloaded model to the system. Its last reference must be gone."""
    gc.collect()
    mx.clear_cache()
    # The C library keeps freed memory for itself, some 40 MB after a small model.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
    if hasattr(libc, "malloc_zone_pressure_relief"):  # macOS: all zones, as much as they have
        libc.malloc_zone_pressure_relief(None, ctypes.c_size_t(0))
