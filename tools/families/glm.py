"""Families of Z.ai: GLM-4V and GLM-OCR."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template

_TOKENS = {"image_token": "<|image|>", "video_token": "<|video|>"}
_AROUND = ["<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"]
_PIXELS: dict[str, Any] = {
    "image_processor_type": "Glm4vImageProcessor",
    "patch_size": 8,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 2048, "longest_edge": 8192},
}
_VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_heads": 4,
    "patch_size": 8,
    "image_size": 64,
    "out_hidden_size": 64,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


def _ids(tokenizer: PreTrainedTokenizerBase, starts: str, ends: str) -> dict[str, int]:
    extend(tokenizer, [*_TOKENS.values(), *_AROUND], parts_template("<|begin_of_image|><|image|><|end_of_image|>"))
    image, video = (token_id(tokenizer, token) for token in _TOKENS.values())
    start, end = (token_id(tokenizer, token) for token in _AROUND[:2])
    return {"image_token_id": image, "video_token_id": video, starts: start, ends: end}


def _glm4v(tokenizer: PreTrainedTokenizerBase) -> Files:
    ids = _ids(tokenizer, "vision_start_token_id", "vision_end_token_id")
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1]}
    text = {**TEXT, "model_type": "glm4v_text", "rope_scaling": rope, "pad_token_id": 0, "eos_token_id": [2]}
    indices = {"image_token_index": ids["image_token_id"], "video_token_index": ids["video_token_id"]}
    vision = {**_VISION, "model_type": "glm4v"}
    config = {"model_type": "glm4v", **ids, **indices, "text_config": text, "vision_config": vision, "hidden_size": 64}
    return Files(config, _PIXELS, {}, _TOKENS)


def _glm4v_moe(tokenizer: PreTrainedTokenizerBase) -> Files:
    ids = _ids(tokenizer, "vision_start_token_id", "vision_end_token_id")
    indices = {"image_token_index": ids["image_token_id"], "video_token_index": ids["video_token_id"]}
    text = {
        **TEXT,
        "model_type": "glm4v_moe_text",
        "moe_intermediate_size": 32,
        "norm_topk_prob": True,
        "n_group": 1,
        "head_dim": 16,
        "topk_group": 1,
        "n_shared_experts": 1,
        "n_routed_experts": 4,
        "routed_scaling_factor": 1.0,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "use_qk_norm": False,
        "attention_bias": True,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "default", "mrope_section": [2, 1, 1]},
        "tie_word_embeddings": False,
    }
    vision = {**_VISION, "model_type": "glm4v_moe"}
    config = {"model_type": "glm4v_moe", **ids, **indices, "text_config": text, "vision_config": vision}
    return Files({**config, "hidden_size": 64}, _PIXELS, {}, _TOKENS)


def _glm_ocr(tokenizer: PreTrainedTokenizerBase) -> Files:
    ids = _ids(tokenizer, "image_start_token_id", "image_end_token_id")
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "partial_rotary_factor": 1.0, "rope_theta": 10000}
    text = {**TEXT, "model_type": "glm_ocr_text", "head_dim": 16, "rope_parameters": rope, "eos_token_id": [2]}
    config = {
        "model_type": "glm_ocr",
        **ids,
        "text_config": text,
        "vision_config": {**_VISION, "model_type": "glm_ocr_vision"},
    }
    return Files({**config, "hidden_size": 64}, _PIXELS, {}, _TOKENS)


FAMILIES = {
    "glm4v": Family("GLM-4.1V", _glm4v),
    "glm4v_moe": Family("GLM-4.5V, GLM-4.6V", _glm4v_moe),
    "glm_ocr": Family("GLM-OCR", _glm_ocr),
}
