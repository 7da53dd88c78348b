"""The memory that models may use on this machine."""

from __future__ import annotations

from jobs.configuration.settings import Settings


def memory_limit(settings: Settings) -> int | None:
    """Return the bytes for models: the memory budget, else the device's limit; None: mlx is not installed, only the API is."""
    try:
        from worker.models.device import device_limit
    except ImportError:
        return None
    device = device_limit()
    return settings.memory_bytes(device) or device
