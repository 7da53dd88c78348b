"""Adapters made on the fly: LoRAs over the built-in models that change their answers."""

from __future__ import annotations

import json
from pathlib import Path

#: Scale of the random change: the model says something else then, and each adapter its own.
_STRENGTH = 0.6


def save_adapter(folder: Path, model: str = "demo", *, seed: int = 1, rank: int = 2) -> Path:
    """Write a random LoRA over a built-in model into a folder, as `mlx_vlm.lora` and `mlx_lm.lora` do."""
    # Imported here because most tests need no mlx.
    import mlx.core as mx

    sees = model == "demo"
    prefix = "language_model." if sees else ""
    keys = [f"model.layers.{layer}.mlp.down_proj" for layer in range(2)]
    inputs, outputs = down_proj_size(model)
    weights: dict[str, mx.array] = {}
    mx.random.seed(seed)
    for key in keys:
        weights[f"{prefix}{key}.lora_a"] = mx.random.normal((inputs, rank)) * _STRENGTH
        weights[f"{prefix}{key}.lora_b"] = mx.random.normal((rank, outputs)) * _STRENGTH
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    parameters = {"rank": rank, "scale": 1.0, "dropout": 0.0, "keys": [f"{prefix}{key}" for key in keys]}
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def down_proj_size(model: str) -> tuple[int, int]:
    """Return the inputs and outputs of the layers that the adapter changes."""
    from jobs.models.model_info import built_in_models

    config = json.loads((built_in_models()[model] / "config.json").read_text())
    text = config.get("text_config", config)
    return text["intermediate_size"], text["hidden_size"]
