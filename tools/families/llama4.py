"""Meta's Llama 4."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template

_TOKENS = ["<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>", "<|tile_y_separator|>"]


def _llama4(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, [*_TOKENS, "<|begin_of_text|>"], parts_template("<|image|>", bos=True), bos="<|begin_of_text|>")
    text: dict[str, Any] = {
        **TEXT,
        "model_type": "llama4_text",
        "num_hidden_layers": 4,
        "head_dim": 16,
        "intermediate_size_mlp": 96,
        "num_local_experts": 4,
        "interleave_moe_layer_step": 2,
        # Chunks shorter than the prompts.
        "attention_chunk_size": 24,
        "attn_temperature_tuning": True,
        "floor_scale": 8192,
        "use_qk_norm": True,
    }
    vision: dict[str, Any] = {
        "model_type": "llama4_vision_model",
        "hidden_size": 48,
        "image_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 192,
        "norm_eps": 1e-5,
        "num_attention_heads": 4,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 8,
        "pixel_shuffle_ratio": 0.5,
        "projector_dropout": 0.0,
        "projector_input_dim": 64,
        "projector_output_dim": 64,
        "rope_theta": 10000.0,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "vision_output_dim": 64,
    }
    config = {
        "model_type": "llama4",
        "text_config": text,
        "vision_config": vision,
        "image_token_index": token_id(tokenizer, "<|patch|>"),
    }
    pixels = {"size": {"height": 64, "width": 64}, "max_patches": 4}
    return Files(config, pixels, {"processor_class": "Llama4Processor", "patch_size": 8})


FAMILIES = {"llama4": Family("Llama 4 Scout, Maverick", _llama4)}
