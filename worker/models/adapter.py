"""An adapter on its way into a loaded model. mlx is imported inside functions only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from jobs.errors import AdapterError, in_words
from jobs.models.adapters import shown_name, split_name, weights_file
from jobs.models.model_info import Modality, public_name

#: Names of the two matrices of a LoRA: of newer and of older adapters of mlx-vlm.
_PAIRS = (("lora_a", "lora_b"), ("A", "B"))
#: Attributes that hold the layer below the matrices.
_BASES = ("linear", "original_layer")
_LONGEST_REASON = 160


def put_on(model: Any, folder: Path, modality: Modality, name: str) -> None:
    """Put an adapter on a model that was just loaded.

    mlx-vlm leaves out weights for which the model has no place, and takes those of any shape. Both are refused here: the answers
    would be those of another adapter, or an error at the first token.

    Args:
        model: as its library has loaded it.
        folder: of the adapter.
        modality: says which library loads it.
        name: of the model with the adapter, for errors.

    Raises AdapterError.
    """
    import mlx.core as mx

    base, adapter = split_name(name)
    shown = f"The adapter '{shown_name(adapter or '')}'"
    file = weights_file(folder)
    assert file is not None
    try:
        weights = mx.load(str(file))
        assert isinstance(weights, dict)
        _apply(model, folder, modality)
        reason = _misfit(model, weights)
    except Exception as error:
        # mlx-lm lists every weight that does not fit.
        reason = shorten(in_words(error).replace(str(folder), "the adapter"), _LONGEST_REASON, placeholder=" …")
    if reason is not None:
        raise AdapterError(
            f"{shown} does not fit '{public_name(base)}': {reason}. Use the model that it was trained on."
        )
    model.eval()


def _apply(model: Any, folder: Path, modality: Modality) -> None:
    if modality == "vision":
        from mlx_vlm.utils import apply_lora_layers

        apply_lora_layers(model, str(folder))
    else:
        from mlx_lm.utils import load_adapters

        load_adapters(model, str(folder))


def _misfit(model: Any, weights: Mapping[str, Any]) -> str | None:
    """Say which of an adapter's weights have no place in the model, or another shape than their layer; None: all fit."""
    from mlx.utils import tree_flatten

    places = dict(tree_flatten(model.parameters()))
    if unknown := next((name for name in weights if name not in places), None):
        return f"the model has no {unknown}"
    for path, module in model.named_modules():
        for first, second in _PAIRS:
            if f"{path}.{first}" in weights and not _fits(module, first, second):
                return f"{path} has another shape"
    return None


def _fits(module: Any, first: str, second: str) -> bool:
    """Whether the matrices of a linear layer have its numbers of inputs and outputs. Experts are left to the library."""
    base = next((module[name] for name in _BASES if name in module), None)
    down, up = module[first], module[second]
    if base is None or base.weight.ndim != 2 or down.ndim != 2:
        return True
    outputs, inputs = base.weight.shape
    inputs = inputs * 32 // base.bits if "scales" in base else inputs
    return (down.shape[0], up.shape[1], down.shape[1]) == (inputs, outputs, up.shape[0])
