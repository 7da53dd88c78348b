"""Moondream. Its files have no chat template, and captionq refuses it."""

from __future__ import annotations

import tempfile
from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files

_VISION: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "proj_inner_dim": 64,
    "proj_out_dim": 64,
    "max_crops": 1,
}


def _files(tokenizer: PreTrainedTokenizerBase, model_type: str, **text: Any) -> Files:
    tokenizer.chat_template = None
    vision = {**_VISION, "model_type": f"{model_type}_vision"}
    config = {"model_type": model_type, "text_config": {**TEXT, "model_type": model_type, **text}}
    return Files({**config, "vision_config": vision})


def _moondream2(tokenizer: PreTrainedTokenizerBase) -> Files:
    from mlx_vlm.models.moondream2 import processing_moondream2

    files = _files(tokenizer, "moondream2", num_key_value_heads=4)
    # The tokenizer of every Moondream 2 lies in another repository.
    processing_moondream2.TOKENIZER_REPO = tempfile.mkdtemp(prefix="starmie")
    tokenizer.save_pretrained(processing_moondream2.TOKENIZER_REPO)
    return files


def _moondream3(tokenizer: PreTrainedTokenizerBase) -> Files:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "moe_start_layer": 1}
    return _files(tokenizer, "moondream3", num_key_value_heads=4, head_dim=16, rope_dim=8, **experts)


FAMILIES = {
    "moondream2": Family("Moondream 2", _moondream2, pictures=1),
    "moondream3": Family("Moondream 3", _moondream3, pictures=1),
}
