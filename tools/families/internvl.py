"""InternVL."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template

_VISION = {**SIGLIP, "model_type": "intern_vit_6b", "qkv_bias": True, "image_size": 64}


def _internvl_chat(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<img>", "</img>", "<IMG_CONTEXT>", "<image>"], parts_template("<image>\n"))
    config = {
        "model_type": "internvl_chat",
        "llm_config": {**TEXT, "model_type": "qwen2"},
        "vision_config": _VISION,
        "image_token_index": token_id(tokenizer, "<IMG_CONTEXT>"),
        "downsample_ratio": 0.5,
    }
    return Files(config, {"size": 64, "dynamic_max_num": 2})


def _internvl(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = {"context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>"}
    extend(tokenizer, [*tokens.values(), "<video>"], parts_template("<IMG_CONTEXT>\n"))
    config = {
        "model_type": "internvl",
        "text_config": {
            **TEXT,
            "model_type": "qwen2",
            "head_dim": 16,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
        "vision_config": {**SIGLIP, "model_type": "internvl_vision"},
        "image_token_id": token_id(tokenizer, "<IMG_CONTEXT>"),
        "downsample_ratio": 0.5,
    }
    pixels: dict[str, Any] = {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 64, "width": 64}}
    pixels |= {"crop_to_patches": True, "min_patches": 1, "max_patches": 2}
    return Files(config, pixels, {"processor_class": "InternVLProcessor", "image_seq_length": 16}, tokens)


FAMILIES = {
    "internvl_chat": Family("InternVL 2.5, 3", _internvl_chat),
    "internvl": Family("InternVL 3, 3.5 (HF)", _internvl),
}
