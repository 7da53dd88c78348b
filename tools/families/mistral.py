"""Mistral's families."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template

_TOKENS = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
_VISION: dict[str, Any] = {
    "model_type": "pixtral",
    "num_hidden_layers": 2,
    "hidden_size": 48,
    "head_dim": 12,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 8,
}


def _files(tokenizer: PreTrainedTokenizerBase, model_type: str, text: dict[str, Any], merge: int) -> Files:
    extend(tokenizer, [*_TOKENS.values(), "<s>"], parts_template("[IMG]", bos=True), bos="<s>")
    image = token_id(tokenizer, "[IMG]")
    config = {
        "model_type": model_type,
        "text_config": {**TEXT, "head_dim": 16, "rope_theta": 10000.0, **text},
        "vision_config": _VISION,
        "image_token_index": image,
        "image_token_id": image,
        "spatial_merge_size": merge,
    }
    pixels = {"image_processor_type": "PixtralImageProcessor", "patch_size": 8 * merge, "size": {"longest_edge": 64}}
    name = "PixtralProcessor" if model_type == "pixtral" else "Mistral3Processor"
    return Files(config, pixels, {"processor_class": name, "patch_size": 8, "spatial_merge_size": merge, **_TOKENS})


def _pixtral(tokenizer: PreTrainedTokenizerBase) -> Files:
    return _files(tokenizer, "pixtral", {"model_type": "mistral"}, 1)


def _mistral3(tokenizer: PreTrainedTokenizerBase) -> Files:
    return _files(tokenizer, "mistral3", {"model_type": "mistral"}, 2)


def _ministral3(tokenizer: PreTrainedTokenizerBase) -> Files:
    rope = {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 512,
        "llama_4_scaling_beta": 0.1,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    }
    return _files(tokenizer, "mistral3", {"model_type": "ministral3", "rope_parameters": rope}, 2)


FAMILIES = {
    "pixtral": Family("Pixtral", _pixtral),
    "mistral3": Family("Mistral Small 3.1, 3.2", _mistral3),
    "mistral3-ministral3": Family("Ministral 3", _ministral3),
}
