"""The settings about the model: its memory, its batches, the device, and what is remembered of its images."""

from __future__ import annotations

import math
import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from jobs.disk.local_folders import local_folder

#: A number with a unit; without a unit it is a share.
_BUDGET = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%|[gGmM][bB]|)\s*$")
_AMOUNT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([tTgGmM][bB])\s*$")
#: Largest numbers of a share: of a part, and in percent.
_MOST = {"": 1, "%": 100}
_UNITS = {"TB": 1e12, "GB": 1e9, "MB": 1e6}
#: The models that come with captionq: a folder of such a name is not one of them.
BUILT_IN = frozenset({"demo", "demo-text", "stub"})


def absolute_name(model: str) -> str:
    """Return the path of a local model, so that it is found from any working directory; other names as they are."""
    folder = None if model in BUILT_IN else local_folder(model)
    return model if folder is None else str(folder)


class ModelSettings(BaseSettings):
    """The settings about the model. `Settings` has them all."""

    #: Maximum number of sequences that decode together. More is faster until memory runs short.
    slots: int = Field(default=32, ge=1, le=256)
    #: Maximum number of prompts that are prefilled together. More gain little: passes are as wide as the device by then.
    prefill_group: int = Field(default=8, ge=1, le=64)
    #: Memory for models: a share of the device's memory (`0.6`, `60%`) or an amount (`24GB`). Without it, one model is in memory
    #: at a time; with it, as many as fit, and the least recently used model is unloaded first.
    memory_budget: str | None = None
    #: Models that stay in memory after they are loaded.
    pinned_models: tuple[str, ...] = ()
    #: Threads that decode images while the model generates.
    preprocess_threads: int = Field(default=2, ge=1, le=64)
    #: Room on the disk for the features of images (`10GB`), so that later questions about them skip the vision tower. None: they
    #: are remembered in memory only.
    feature_cache: str | None = None

    #: Operations that mlx puts into one of Metal's command buffers (its `MLX_MAX_OPS_PER_BUFFER`); None: by the chip.
    metal_ops_per_buffer: int | None = Field(default=None, ge=1, le=1_000_000)
    #: Give the buffers that mlx keeps for reuse back to the system once, after a model is loaded and its batching checked.
    clear_after_load: bool = False
    #: Compute the vision tower in the half precision of the language model, also if its weights or its inputs are float32: the
    #: newest fused attention kernels of Metal take half precision only.
    half_precision_vision: bool = False

    @field_validator("pinned_models")
    @classmethod
    def _absolute_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(absolute_name(name) for name in value)

    @field_validator("memory_budget")
    @classmethod
    def _amount_or_share(cls, value: str | None) -> str | None:
        if value is None:
            return value
        found = _BUDGET.fullmatch(value)
        # 24 is no share: 24 GB were meant, and no model would ever be unloaded.
        if found is None or not 0 < float(found[1]) <= _MOST.get(found[2], math.inf):
            raise ValueError
        return value

    @field_validator("feature_cache")
    @classmethod
    def _amount(cls, value: str | None) -> str | None:
        if value is not None and not _AMOUNT.fullmatch(value):
            raise ValueError
        return value

    @property
    def feature_cache_bytes(self) -> int:
        """Return the room for features of images in bytes; 0: none are kept on the disk."""
        found = _AMOUNT.fullmatch(self.feature_cache or "")
        return 0 if found is None else int(float(found[1]) * _UNITS[found[2].upper()])

    def memory_bytes(self, device: int) -> int | None:
        """Return the memory budget in bytes; None: there is none. `device`: the device's memory in bytes."""
        if self.memory_budget is None:
            return None
        found = _BUDGET.fullmatch(self.memory_budget)
        assert found is not None
        number, unit = float(found[1]), found[2].upper()
        if unit in _UNITS:
            return int(number * _UNITS[unit])
        return int(device * (number / 100 if unit == "%" else number))
