"""Half precision in the vision tower: an option, because it changes logits a little, and its gain was not measured on Metal.

Metal has fused attention kernels for float32 also, but the newest take half precision only. Most of mlx-vlm's families compute
the tower in the type of its weights. Some are led to float32 by their pixels (LLaVA-OneVision; Kimi-VL, whose features then lead
the whole language model to float32), and some checkpoints have a tower in float32.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_map

from worker.models.library_quirks import tower_name

_HALVES = (mx.float16, mx.bfloat16)


def compute_in_half(model: Any) -> bool:
    """Let a loaded model's vision tower compute in the half precision of its language model.

    Return False if there is nothing to change: the model has no tower, or no half precision.
    """
    name, half = tower_name(model), _half_of(model.language_model)
    if name is None or half is None:
        return False
    tower = getattr(model, name)
    tower.set_dtype(half)
    setattr(model, name, _HalfTower(tower, half))
    mx.eval(tower.parameters())
    return True


class _HalfTower(nn.Module):
    """A tower whose inputs and features are of half precision, whatever their type was."""

    def __init__(self, tower: Any, half: Any) -> None:
        super().__init__()
        self.tower = tower
        self._half = half

    def __getattr__(self, name: str) -> Any:
        # Models read attributes of the tower, such as the type of its weights.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("tower"), name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        features = self.tower(*self._cast(list(args)), **self._cast(options))
        return self._cast(features)

    def _cast(self, tree: Any) -> Any:
        return tree_map(lambda leaf: leaf.astype(self._half) if _is_wide(leaf) else leaf, tree)


def _is_wide(leaf: Any) -> bool:
    return isinstance(leaf, mx.array) and leaf.dtype == mx.float32


def _half_of(language_model: Any) -> Any:
    """Return the half precision that a language model computes in; None: it computes in float32."""
    types = [array.dtype for _, array in tree_flatten(language_model.parameters())]
    return next((one for one in types if one in _HALVES), None)
