"""Families of Cohere, Meta and Moonshot."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template


def _aya_vision(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = ["<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>"]
    extend(tokenizer, tokens, parts_template("<image>"))
    config = {
        "model_type": "aya_vision",
        "text_config": {
            **TEXT,
            "model_type": "cohere2",
            "head_dim": 16,
            "sliding_window": 24,
            "sliding_window_pattern": 2,
        },
        "vision_config": SIGLIP,
        "image_token_index": token_id(tokenizer, "<|IMG_PATCH|>"),
        "downsample_factor": 2,
        "alignment_intermediate_size": 64,
    }
    pixels: dict[str, Any] = {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 64, "width": 64}}
    pixels |= {"crop_to_patches": True, "min_patches": 1, "max_patches": 2}
    names = {"processor_class": "AyaVisionProcessor", "patch_size": 8, "img_size": 64, "downsample_factor": 2}
    return Files(config, pixels, names)


def _kimi_vl(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = ["<|media_start|>", "<|media_content|>", "<|media_pad|>", "<|media_end|>", "<|im_assistant|>"]
    marker = "<|media_start|>image<|media_content|><|media_pad|><|media_end|>"
    extend(tokenizer, tokens, parts_template(marker))
    experts = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    ranks = {"kv_lora_rank": 32, "q_lora_rank": None, "qk_rope_head_dim": 8, "v_head_dim": 16, "qk_nope_head_dim": 16}
    text = {**TEXT, "model_type": "deepseek_v3", "num_key_value_heads": 4, **experts, **ranks}
    text |= {"first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
    vision = {"model_type": "moonvit", "depth": 2, "embed_dim": 48, "hidden_size": 48, "num_heads": 4, "patch_size": 8}
    vision |= {"intermediate_size": 64, "spatial_patch_size": 8, "init_pos_emb_height": 8, "init_pos_emb_width": 8}
    config = {
        "model_type": "kimi_vl",
        "text_config": text,
        "vision_config": vision,
        "media_placeholder_token_id": token_id(tokenizer, "<|media_pad|>"),
    }
    return Files(config, {"patch_size": 8, "in_token_limit": 64})


def _mllama(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(
        tokenizer,
        ["<|image|>", "<|python_tag|>", "<|begin_of_text|>"],
        parts_template("<|image|>", bos=True),
        "<|begin_of_text|>",
    )
    vision = {
        "model_type": "mllama",
        "image_size": 64,
        "patch_size": 8,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_global_layers": 1,
        "intermediate_layers_indices": [0],
        "vision_output_dim": 96,
        "max_num_tiles": 4,
    }
    text = {**TEXT, "model_type": "mllama", "num_hidden_layers": 3, "cross_attention_layers": [1]}
    config = {
        "model_type": "mllama",
        "text_config": text,
        "vision_config": vision,
        "image_token_index": token_id(tokenizer, "<|image|>"),
    }
    pixels = {"image_processor_type": "MllamaImageProcessor", "size": {"height": 64, "width": 64}, "max_image_tiles": 4}
    return Files(config, pixels, {"processor_class": "MllamaProcessor"}, {"image_token": "<|image|>"})


FAMILIES = {
    "aya_vision": Family("Aya Vision", _aya_vision),
    "kimi_vl": Family("Kimi-VL", _kimi_vl),
    "mllama": Family("Llama 3.2 Vision", _mllama),
}
